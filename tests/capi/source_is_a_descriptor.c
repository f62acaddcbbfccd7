/* A source behaves as a descriptor under poll, select, reads, writes, and the calls that duplicate
 * and close; bad arguments; a forked child. */
#include "capi.h"

#include <sys/select.h>

static int looks_readable(int fd)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval none = {0};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int by_poll = OK(poll(&p, 1, 0)), by_select = OK(select(fd + 1, &set, NULL, NULL, &none));
    CHECK_EQ(by_poll, by_select);
    return by_poll;
}

static void from_outside(void)
{
    int source = OK(epolyfill_source_new(0));
    CHECK_EQ(looks_readable(source), 0);
    OK(epolyfill_source_post(source, EPOLLOUT | EPOLLHUP));
    CHECK_EQ(looks_readable(source), 0);
    for (int i = 0; i < 3; i++) {
        OK(epolyfill_source_post(source, EPOLLIN));
        CHECK_EQ(looks_readable(source), 1);
    }
    uint64_t word = 1;
    CHECK_ERRNO(read(source, &word, sizeof word), EINVAL);
    CHECK_ERRNO(write(source, &word, sizeof word), EINVAL);
    CHECK_EQ(looks_readable(source), 1);
    OK(epolyfill_source_clear(source, EPOLLIN));
    CHECK_EQ(looks_readable(source), 0);
    OK(epolyfill_source_close(source));
}

static void bad_arguments(void)
{
    CHECK_ERRNO(epolyfill_source_new(1), EINVAL);
    int source = OK(epolyfill_source_new(0)), other = OK(eventfd(0, EFD_NONBLOCK)), ep = new_epoll();
    const uint32_t bad[] = {0, EPOLLET | EPOLLIN, EPOLLONESHOT, EPOLLRDNORM, 1u << 31, 1u << 20};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ERRNO(epolyfill_source_post(source, bad[i]), EINVAL);
        CHECK_ERRNO(epolyfill_source_clear(source, bad[i]), EINVAL);
    }
    CHECK_EQ(epolyfill_source_events(source), 0);
    const int no_source[] = {other, ep, -1, 1 << 30};
    const int wanted[] = {EINVAL, EINVAL, EBADF, EBADF};
    for (int i = 0; i < 4; i++) {
        CHECK_ERRNO(epolyfill_source_post(no_source[i], EPOLLIN), wanted[i]);
        CHECK_ERRNO(epolyfill_source_clear(no_source[i], EPOLLIN), wanted[i]);
        CHECK_ERRNO(epolyfill_source_events(no_source[i]), wanted[i]);
        CHECK_ERRNO(epolyfill_source_close(no_source[i]), wanted[i]);
    }
    OK(fcntl(other, F_GETFD));
    ADD(ep, source, EPOLLIN, 0);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, source, EPOLLIN, 0), EEXIST);
    OK(epolyfill_source_post(source, EPOLLIN));
    OK(epolyfill_source_close(source));
    EXPECT_NONE_NOW(ep);
    CHECK_ERRNO(epolyfill_source_post(source, EPOLLIN), EBADF);
    CHECK_ERRNO(epolyfill_source_close(source), EBADF);
    /* The number is free for any file. */
    CHECK_EQ(OK(eventfd(1, 0)), source);
    CHECK_ERRNO(epolyfill_source_post(source, EPOLLIN), EINVAL);
    EXPECT_NONE_NOW(ep);
    ADD(ep, source, EPOLLIN, 5);
    EXPECT_ONE(ep, 5, EPOLLIN);
    OK(close(source));
    OK(close(other));
    OK(close(ep));
    /* RLIMIT_NOFILE allows no further descriptor. */
    struct rlimit limit, none;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    none = limit;
    none.rlim_cur = 0;
    OK(setrlimit(RLIMIT_NOFILE, &none));
    CHECK_ERRNO(epolyfill_source_new(0), EMFILE);
    OK(setrlimit(RLIMIT_NOFILE, &limit));
}

static void in_a_child(void)
{
    int ep = new_epoll(), source = OK(epolyfill_source_new(0));
    ADD(ep, source, EPOLLIN | EPOLLET, 0);
    OK(epolyfill_source_post(source, EPOLLIN));
    EXPECT_ONE(ep, 0, EPOLLIN);
    pid_t child = OK(fork());
    if (child == 0) {
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(looks_readable(source), 1);
        OK(epolyfill_source_post(source, EPOLLIN));
        EXPECT_ONE(ep, 0, EPOLLIN);
        OK(epolyfill_source_clear(source, EPOLLIN));
        CHECK_EQ(looks_readable(source), 0);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        OK(epolyfill_source_post(source, EPOLLIN));
        CHECK_EQ(join_waiter(&waiter), 1);
        OK(epolyfill_source_clear(source, EPOLLIN));
        _exit(0);
    }
    expect_exit_0(child);
    CHECK_EQ(looks_readable(source), 1);
    CHECK_EQ(epolyfill_source_events(source), EPOLLIN);
    EXPECT_NONE_NOW(ep);
    OK(epolyfill_source_post(source, EPOLLIN));
    EXPECT_ONE(ep, 0, EPOLLIN);
    OK(close(source));
    OK(close(ep));
}

void test(void)
{
    from_outside();
    bad_arguments();
    in_a_child();
}

/* poll, ppoll, select and pselect6 through syscall() see an instance as a wait would (N1), even in
 * the first look at it. The remaining timeout is written back. */
#include "harness.h"

#include <sys/select.h>

enum { POLL, PPOLL, SELECT, PSELECT, CALLS };
static const char *const names[] = {"poll", "ppoll", "select", "pselect6"};

/* Returns 1 if the instance is readable, 0 if the timeout expired; *left_ms is the time left. */
static int look(int call, int ep, int timeout_ms, long *left_ms)
{
    struct pollfd p = {.fd = ep, .events = POLLIN | POLLOUT};
    struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};
    sigset_t none;
    sigemptyset(&none);
    struct {
        const void *mask;
        size_t size;
    } sixth = {&none, 8};
    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(ep, &r), FD_SET(ep, &w);
    long n = -1;
    switch (call) {
#ifdef SYS_poll
    case POLL:
        n = OK(syscall(SYS_poll, &p, 1, timeout_ms));
        break;
    case SELECT: {
        struct timeval v = {timeout_ms / 1000, timeout_ms % 1000 * 1000l};
        n = OK(syscall(SYS_select, ep + 1, &r, &w, NULL, &v));
        *left_ms = v.tv_sec * 1000 + v.tv_usec / 1000;
        break;
    }
#endif
    case PPOLL:
        n = OK(syscall(SYS_ppoll, &p, 1, &t, &none, 8));
        *left_ms = t.tv_sec * 1000 + t.tv_nsec / 1000000;
        break;
    case PSELECT:
        n = OK(syscall(SYS_pselect6, ep + 1, &r, &w, NULL, &t, &sixth));
        *left_ms = t.tv_sec * 1000 + t.tv_nsec / 1000000;
        break;
    }
    bool readable = call == POLL || call == PPOLL ? p.revents == POLLIN : FD_ISSET(ep, &r) && !FD_ISSET(ep, &w);
    CHECK_EQ(n, readable);
    return readable;
}

static void *feed(void *arg)
{
    pause_ms(30);
    add_one(*(int *)arg);
    return NULL;
}

void test(void)
{
    for (int call = 0; call < CALLS; call++) {
#ifndef SYS_poll
        if (call == POLL || call == SELECT)
            continue;
#endif
        subject = names[call];
        long left = 0;

        /* The first look at an instance with something ready. */
        int ep = new_epoll(), fd = OK(eventfd(1, EFD_NONBLOCK));
        ADD(ep, fd, EPOLLIN, 1);
        CHECK_EQ(look(call, ep, 2000, &left), 1);
        if (call != POLL)
            CHECK(left > 1000 && left <= 2000);

        /* Nothing for the whole timeout; an edge that was reported is not a level. */
        MOD(ep, fd, EPOLLIN | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        int64_t begin = now_ns();
        CHECK_EQ(look(call, ep, 60, &left), 0);
        CHECK(now_ns() - begin >= 60000000);
        if (call != POLL)
            CHECK_EQ(left, 0);

        /* An arrival wakes the sleeper. */
        struct thread thread;
        start_thread(&thread, feed, &fd);
        CHECK_EQ(look(call, ep, BOUND_MS, &left), 1);
        join_thread(&thread);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(look(call, ep, 0, &left), 0);

        OK(close(fd));
        OK(close(ep));
    }

    /* Calls that the kernel refuses are refused. */
    subject = "";
    int ep = new_epoll();
    struct pollfd p = {.fd = ep, .events = POLLIN};
    struct timespec zero = {0, 0}, bad = {0, 1000000000}, negative = {-1, 0};
    sigset_t none;
    sigemptyset(&none);
    struct {
        const void *mask;
        size_t size;
    } sixth = {&none, 7};
    fd_set r;
    FD_ZERO(&r);
    FD_SET(ep, &r);
    CHECK_ERRNO(syscall(SYS_ppoll, &p, 1, &zero, &none, 7), EINVAL);
    CHECK_ERRNO(syscall(SYS_ppoll, &p, 1, &bad, &none, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_ppoll, &p, 1, &negative, NULL, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_ppoll, NULL, 1, &zero, NULL, 8), EFAULT);
    CHECK_ERRNO(syscall(SYS_pselect6, ep + 1, &r, NULL, NULL, &zero, &sixth), EINVAL);
    CHECK_ERRNO(syscall(SYS_pselect6, ep + 1, &r, NULL, NULL, &bad, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_pselect6, -1, &r, NULL, NULL, &zero, NULL), EINVAL);
    CHECK_EQ(syscall(SYS_ppoll, &p, 1, &zero, NULL, 7), 0);
}

/* The calls under the library's own names behave as those of epoll(7), with the same errors; an
 * instance made through either set of names works with the other. */
#include "capi.h"

static void events_come_by_every_wait(void)
{
    int ep = OK(epolyfill_create1(EPOLL_CLOEXEC)), fd[2];
    CHECK(fcntl(ep, F_GETFD) & FD_CLOEXEC);
    make_pipe(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7}, got[2];
    OK(epolyfill_ctl(ep, EPOLL_CTL_ADD, fd[0], &event));
    CHECK_EQ(epolyfill_wait(ep, got, 2, 0), 0);
    write_bytes(fd[1], 1);
    struct timespec second = {.tv_sec = 1};
    sigset_t none;
    sigemptyset(&none);
    for (int i = 0; i < 3; i++) {
        got[0] = (struct epoll_event){0};
        CHECK_EQ(i == 0   ? epolyfill_wait(ep, got, 2, BOUND_MS)
                 : i == 1 ? epolyfill_pwait(ep, got, 2, BOUND_MS, &none)
                          : epolyfill_pwait2(ep, got, 2, &second, &none),
                 1);
        CHECK_EQ(got[0].events, EPOLLIN);
        CHECK_EQ(got[0].data.u64, 7);
    }
    EXPECT_ONE(ep, 7, EPOLLIN);
    event.events = EPOLLIN | EPOLLONESHOT;
    OK(epolyfill_ctl(ep, EPOLL_CTL_MOD, fd[0], &event));
    CHECK_EQ(epolyfill_wait(ep, got, 2, 0), 1);
    CHECK_EQ(epolyfill_wait(ep, got, 2, 0), 0);
    OK(epolyfill_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL));
    CHECK_ERRNO(epolyfill_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
    OK(epolyfill_close(fd[1]));
    expect_eof_at_once(fd[0] + 0 * (int)read_all(fd[0]));
    OK(epolyfill_close(fd[0]));
    OK(epolyfill_close(ep));
    CHECK_ERRNO(epolyfill_close(ep), EBADF);
}

static void errors(void)
{
    int ep = OK(epolyfill_create1(0)), bell = OK(eventfd(0, 0)), plain = OK(open("/dev/null", O_RDONLY));
    struct epoll_event event = {.events = EPOLLIN};
    CHECK_ERRNO(epolyfill_create1(1), EINVAL);
    CHECK_ERRNO(epolyfill_ctl(-1, EPOLL_CTL_ADD, bell, &event), EBADF);
    CHECK_ERRNO(epolyfill_ctl(ep, EPOLL_CTL_ADD, -1, &event), EBADF);
    CHECK_ERRNO(epolyfill_ctl(ep, EPOLL_CTL_ADD, bell, NULL), EFAULT);
    CHECK_ERRNO(epolyfill_ctl(ep, EPOLL_CTL_ADD, plain, &event), EPERM);
    CHECK_ERRNO(epolyfill_ctl(ep, EPOLL_CTL_ADD, ep, &event), EINVAL);
    CHECK_ERRNO(epolyfill_ctl(bell, EPOLL_CTL_ADD, ep, &event), EINVAL);
    CHECK_ERRNO(epolyfill_ctl(ep, 99, bell, &event), EINVAL);
    CHECK_ERRNO(epolyfill_wait(ep, &event, 0, 0), EINVAL);
    CHECK_ERRNO(epolyfill_wait(bell, &event, 1, 0), EINVAL);
    CHECK_ERRNO(epolyfill_wait(-1, &event, 1, 0), EBADF);
    struct timespec nonsense = {.tv_nsec = 1000000000};
    CHECK_ERRNO(epolyfill_pwait2(ep, &event, 1, &nonsense, NULL), EINVAL);
    OK(close(ep));
    OK(close(bell));
    OK(close(plain));
}

void test(void)
{
    CHECK(strcmp(epolyfill_version(), EPOLYFILL_VERSION) == 0);
    events_come_by_every_wait();
    errors();
}

/* syscall() and libc's names work on the same instances, in both directions (C2, T1, W1). */
#include "harness.h"

/* The oldest calls have a number only on the oldest machines. */
static int create(int size)
{
#ifdef SYS_epoll_create
    return syscall(SYS_epoll_create, size);
#else
    return epoll_create(size);
#endif
}

static int waits(int ep, struct epoll_event *at, int max, int timeout_ms)
{
#ifdef SYS_epoll_wait
    return syscall(SYS_epoll_wait, ep, at, max, timeout_ms);
#else
    return epoll_wait(ep, at, max, timeout_ms);
#endif
}

void test(void)
{
    struct epoll_event in = {.events = EPOLLIN, .data.u64 = 1}, at[4];
    sigset_t none;
    sigemptyset(&none);
    struct timespec zero = {0, 0};
    for (int raw = 0; raw < 4; raw++) {
        bool made_raw = raw & 1, added_raw = raw & 2;
        int fd = OK(eventfd(1, EFD_NONBLOCK));
        int ep = made_raw ? OK(syscall(SYS_epoll_create1, EPOLL_CLOEXEC)) : new_epoll();
        CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
        if (added_raw)
            CHECK_EQ(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &in), 0);
        else
            ADD(ep, fd, EPOLLIN, 1);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1), EEXIST);
        CHECK_ERRNO(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &in), EEXIST);

        /* Each wait reports it. */
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(waits(ep, at, 4, -1), 1);
        CHECK_EQ(syscall(SYS_epoll_pwait, ep, at, 4, -1, NULL, 8), 1);
        CHECK_EQ(syscall(SYS_epoll_pwait, ep, at, 4, 0, &none, 8), 1);
        CHECK_EQ(syscall(SYS_epoll_pwait2, ep, at, 4, &zero, NULL, 8), 1);
        CHECK_EQ(syscall(SYS_epoll_pwait2, ep, at, 4, NULL, &none, 8), 1);
        CHECK_EQ(at[0].data.u64, 1);
        CHECK_EQ(at[0].events, EPOLLIN);

        /* A dup by number, and a close by number. */
        int twin = OK(syscall(SYS_dup, fd));
        CHECK_EQ(syscall(SYS_close, fd), 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(syscall(SYS_close, twin), 0);
        CHECK_EQ(waits(ep, at, 4, 0), 0);
        CHECK_EQ(syscall(SYS_close, ep), 0);
        CHECK_ERRNO(epoll_wait(ep, at, 4, 0), EBADF);
        CHECK_ERRNO(waits(ep, at, 4, 0), EBADF);
    }

    /* Errors are libc's: -1 and errno. */
    CHECK_ERRNO(syscall(SYS_epoll_create1, 1), EINVAL);
    CHECK_ERRNO(create(0), EINVAL);
    CHECK_ERRNO(syscall(SYS_epoll_ctl, -1, EPOLL_CTL_ADD, -1, NULL), EFAULT);
    int ep = OK(create(1));
    CHECK_ERRNO(waits(ep, at, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_epoll_pwait, ep, at, 4, 0, &none, 7), EINVAL);

    /* Calls that the library does not serve pass through with all six arguments. */
    CHECK_EQ(syscall(SYS_getpid), getpid());
    void *page = (void *)syscall(SYS_mmap, NULL, 4096, 3, 0x22, -1, 0);
    CHECK(page != (void *)-1);
    memset(page, 1, 4096);
}

/* If several arguments of epoll_ctl() are bad, it fails with the first error in the order of T1. */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], file = OK(open("/proc/self/exe", O_RDONLY));
    make_pipe(fd);
    struct epoll_event in = {.events = EPOLLIN}, *bad = (struct epoll_event *)0x10;
    int unused = 999, ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, 42, 0, -1};

    /* An unreadable event is found before any descriptor, for every operation except DEL. */
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        CHECK_ERRNO(epoll_ctl(ep, ops[i], fd[0], NULL), EFAULT);
        CHECK_ERRNO(epoll_ctl(unused, ops[i], unused, NULL), EFAULT);
        CHECK_ERRNO(epoll_ctl(-1, ops[i], file, bad), EFAULT);
    }

    /* Then descriptors that are not open, for any operation. */
    int all[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 42};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_ERRNO(epoll_ctl(unused, all[i], fd[0], &in), EBADF);
        CHECK_ERRNO(epoll_ctl(unused, all[i], file, &in), EBADF);
        CHECK_ERRNO(epoll_ctl(ep, all[i], unused, &in), EBADF);
        CHECK_ERRNO(epoll_ctl(fd[0], all[i], unused, &in), EBADF);
        CHECK_ERRNO(epoll_ctl(ep, all[i], -1, &in), EBADF);

        /* Then a target that cannot be polled, even if epfd is not an instance. */
        CHECK_ERRNO(epoll_ctl(ep, all[i], file, &in), EPERM);
        CHECK_ERRNO(epoll_ctl(fd[0], all[i], file, &in), EPERM);
        CHECK_ERRNO(epoll_ctl(file, all[i], file, &in), EPERM);

        /* Then an epfd that is not an instance, and an instance as its own target. */
        CHECK_ERRNO(epoll_ctl(fd[0], all[i], fd[1], &in), EINVAL);
        CHECK_ERRNO(epoll_ctl(file, all[i], fd[0], &in), EINVAL);
        CHECK_ERRNO(epoll_ctl(ep, all[i], ep, &in), EINVAL);
    }

    /* Last the operation and the registration. */
    CHECK_ERRNO(epoll_ctl(ep, 42, fd[0], &in), EINVAL);
    CHECK_ERRNO(epoll_ctl(ep, 0, fd[0], &in), EINVAL);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &in), ENOENT);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], &in), ENOENT);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &in), 0);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &in), EEXIST);
    CHECK_ERRNO(epoll_ctl(ep, 42, fd[0], &in), EINVAL);

    /* A dup of the instance is the instance: the same open file. */
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, OK(dup(ep)), &in), EINVAL);
}

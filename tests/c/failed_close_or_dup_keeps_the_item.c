/* A call that closes nothing removes nothing: dup2() onto the same number or from a bad one,
 * close_range() with CLOSE_RANGE_CLOEXEC (D1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(1, 0));
    ADD(ep, fd, EPOLLIN, 1);
    CHECK_EQ(dup2(fd, fd), fd);
    CHECK_ERRNO(dup2(999, fd), EBADF);
    CHECK_ERRNO(dup3(fd, fd, 0), EINVAL);
    CHECK_ERRNO(dup3(999, fd, 0), EBADF);
    CHECK_ERRNO(dup3(ep, fd, 12345), EINVAL);
    CHECK_ERRNO(close(999), EBADF);
    CHECK_ERRNO(close(-1), EBADF);
    CHECK_ERRNO(close_range(fd, fd - 1, 0), EINVAL);
    CHECK_ERRNO(close_range(fd, fd, 12345), EINVAL);
    CHECK_EQ(close_range(fd, fd, CLOSE_RANGE_CLOEXEC), 0);
    CHECK_EQ(close_range(fd + 100, fd + 200, 0), 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);

    /* Still there, still the same item. */
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 2), EEXIST);
    MOD(ep, fd, EPOLLIN, 2);
    EXPECT_ONE(ep, 2, EPOLLIN);
}

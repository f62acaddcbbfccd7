/* The number of a closed instance can be reused for another file, which is not an instance, and for
 * a new instance, which is empty (C3). */
#include "harness.h"

void test(void)
{
    int fd = OK(eventfd(1, 0)), ep = new_epoll();
    struct epoll_event at;
    for (int i = 0; i < 100; i++) {
        ADD(ep, fd, EPOLLIN, i);
        EXPECT_ONE(ep, i, EPOLLIN);
        OK(close(ep));
        CHECK_ERRNO(epoll_wait(ep, &at, 1, 0), EBADF);
        CHECK_EQ(OK(eventfd(0, 0)), ep);
        CHECK_ERRNO(epoll_wait(ep, &at, 1, 0), EINVAL);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, i), EINVAL);
        OK(close(ep));
        CHECK_EQ(new_epoll(), ep);
        EXPECT_NONE_NOW(ep);
    }
}

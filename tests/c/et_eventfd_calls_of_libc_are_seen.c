/* eventfd_read() drains an edge-triggered eventfd, and eventfd_write() makes an edge (E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    eventfd_t value;
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(eventfd_write(fd, 3), 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(eventfd_read(fd, &value), 0);
        CHECK_EQ(value, 3);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(eventfd_write(fd, 1), 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    CHECK_EQ(eventfd_read(fd, &value), 0);
    CHECK_EQ(value, 5);
    CHECK_ERRNO(eventfd_read(fd, &value), EAGAIN);
    CHECK_ERRNO(eventfd_write(fd, UINT64_MAX), EINVAL);
    EXPECT_NONE(ep);
}

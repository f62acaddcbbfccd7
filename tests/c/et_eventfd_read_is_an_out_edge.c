/* A read of an eventfd frees space, which is an OUT edge, whether the eventfd is full or not (E4,
 * E6). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    uint64_t value, most = UINT64_MAX - 1;
    ADD(ep, fd, EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    add_one(fd);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(read(fd, &value, 8), 8);
    EXPECT_ONE(ep, 1, EPOLLOUT);

    CHECK_EQ(write(fd, &most, 8), 8);
    EXPECT_NONE_NOW(ep);
    CHECK_ERRNO(write(fd, &(uint64_t){1}, 8), EAGAIN);
    CHECK_EQ(read(fd, &value, 8), 8);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
}

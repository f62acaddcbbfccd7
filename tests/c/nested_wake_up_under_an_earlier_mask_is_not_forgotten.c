/* An instance that was woken under a mask with EPOLLIN stays on the outer instance's ready list
 * when its mask loses EPOLLIN, until a look finds it not ready. */
#include "harness.h"

void test(void)
{
    int outer = new_epoll(), inner = new_epoll(), fd = OK(eventfd(1, EFD_NONBLOCK));
    ADD(outer, inner, EPOLLIN, 1);
    EXPECT_NONE_NOW(outer);
    ADD(inner, fd, EPOLLIN | EPOLLOUT | EPOLLET, 2);
    EXPECT_ONE(inner, 2, EPOLLIN | EPOLLOUT);
    MOD(outer, inner, EPOLLRDNORM, 1);
    CHECK_EQ(read_all(fd), 8);
    EXPECT_ONE(outer, 1, EPOLLRDNORM);
}

/* An always-readable edge-triggered eventfd is a doorbell: each MOD of it wakes the blocked waiter
 * (T6). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), bell = OK(eventfd(1, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN | EPOLLERR | EPOLLET, 0);
    EXPECT_ONE(ep, 0, EPOLLIN);
    for (int i = 1; i <= 20; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        MOD(ep, bell, EPOLLIN | EPOLLERR | EPOLLET, i);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, i);
        CHECK_EQ(waiter.at[0].events, EPOLLIN);
    }
    EXPECT_NONE(ep);
}

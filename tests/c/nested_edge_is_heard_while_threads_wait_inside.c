/* An arrival in an instance that two threads wait on is an edge of its descriptor for an outer
 * waiter, whichever thread wakes up first: a level-triggered item is ready inside until it is read,
 * and no thread reads it here (N1, N2). */
#include "harness.h"

#define ROUNDS 200

void test(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int inner = new_epoll(), outer = new_epoll(), bell = OK(eventfd(0, EFD_NONBLOCK));
        ADD(inner, bell, EPOLLIN, 1);
        ADD(outer, inner, EPOLLIN | EPOLLET, 2);
        struct waiter inside[2], outside;
        start_waiter(&inside[0], inner);
        start_waiter(&inside[1], inner);
        start_waiter(&outside, outer);
        add_one(bell);
        CHECK_EQ(join_waiter(&outside), 1);
        CHECK_EQ(outside.at[0].data.u64, 2);
        CHECK_EQ(join_waiter(&inside[0]), 1);
        CHECK_EQ(join_waiter(&inside[1]), 1);
        OK(close(outer));
        OK(close(inner));
        OK(close(bell));
    }
}

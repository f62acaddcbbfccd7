/* Re-arming a oneshot item with something pending wakes a thread that sleeps in the wait (W5,
 * T6). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLONESHOT, 0);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 0, EPOLLIN);
    for (int i = 1; i < 10; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, i);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, i);
    }
    EXPECT_NONE_NOW(ep);
}

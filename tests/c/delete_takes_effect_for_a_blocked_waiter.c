/* An item that is deleted while a thread waits no longer wakes it; the remaining items do (T10). */
#include "harness.h"

void test(void)
{
    for (int edge = 0; edge < 2; edge++) {
        int ep = new_epoll(), gone[2], stays[2];
        make_pipe(gone);
        make_pipe(stays);
        ADD(ep, gone[0], EPOLLIN | (edge ? EPOLLET : 0), 1);
        ADD(ep, stays[0], EPOLLIN | (edge ? EPOLLET : 0), 2);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        DEL(ep, gone[0]);
        write_bytes(gone[1], 1);
        pause_ms(20);
        wait_until_blocked(waiter.thread.tid);
        write_bytes(stays[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 2);
    }
}

/* An instance is closed, with an item deleted while a thread waited. The next instance sleeps in
 * its waits: nothing of the old one wakes it (W2, W11, T10). */
#include "harness.h"

void test(void)
{
    for (int i = 0; i < 3; i++) {
        int ep = new_epoll(), deleted[2], kept[2];
        make_pipe(deleted);
        make_pipe(kept);
        ADD(ep, deleted[0], EPOLLIN, 1);
        ADD(ep, kept[0], EPOLLIN, 2);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        DEL(ep, deleted[0]);
        write_bytes(kept[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        OK(close(ep));
        write_bytes(deleted[1], 1);

        ep = new_epoll();
        int64_t cpu = cpu_ns(), start = now_ns();
        CHECK_EQ(wait_events(ep, 300).n, 0);
        CHECK(now_ns() - start >= 300000000);
        CHECK(cpu_ns() - cpu < 30000000);
        OK(close(ep));
    }
}

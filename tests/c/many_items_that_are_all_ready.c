/* Two thousand items that are ready at once are reported in turn through a small buffer, each once
 * before any is reported again (W3). */
#include "harness.h"

#define ITEMS 2000

void test(void)
{
    raise_descriptor_limit();
    static int fd[ITEMS];
    int ep = new_epoll();
    for (int i = 0; i < ITEMS; i++) {
        fd[i] = OK(eventfd(1, EFD_NONBLOCK));
        ADD(ep, fd[i], EPOLLIN, i);
    }
    for (int round = 0; round < 3; round++) {
        char seen[ITEMS] = {0};
        for (int n = 0; n < ITEMS;) {
            struct events events = wait_at_most(ep, 100, BOUND_MS);
            CHECK_EQ(events.n, 100);
            for (int i = 0; i < events.n; i++)
                CHECK_EQ(seen[events.at[i].data.u64]++, 0);
            n += events.n;
        }
    }

    /* All in one wait, edges once. */
    static struct epoll_event at[ITEMS + 1];
    for (int i = 0; i < ITEMS; i++)
        MOD(ep, fd[i], EPOLLIN | EPOLLET, i);
    CHECK_EQ(epoll_wait(ep, at, ITEMS + 1, BOUND_MS), ITEMS);
    EXPECT_NONE_NOW(ep);
}

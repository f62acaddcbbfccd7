/* Edges that did not fit into one wait are reported by the next ones, each once (W3, W4). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[10];
    unsigned seen = 0;
    for (int i = 0; i < 10; i++) {
        fd[i] = OK(eventfd(0, 0));
        ADD(ep, fd[i], EPOLLIN | EPOLLET, i);
        add_one(fd[i]);
    }
    for (int i = 0; i < 10; i += 2) {
        struct events events = wait_at_most(ep, 2, BOUND_MS);
        CHECK_EQ(events.n, 2);
        seen ^= 1u << events.at[0].data.u32 ^ 1u << events.at[1].data.u32;
    }
    CHECK_EQ(seen, 1023);
    EXPECT_NONE(ep);
}

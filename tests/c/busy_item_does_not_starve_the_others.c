/* Beside an item that is always ready, waits for one event report each of two others every third
 * time (W3). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), busy[2], rare[2][2], seen[3] = {0};
    make_pair(SOCK_STREAM, busy);
    ADD(ep, busy[0], EPOLLIN | EPOLLOUT, 0);
    for (int i = 0; i < 2; i++) {
        make_pipe(rare[i]);
        ADD(ep, rare[i][0], EPOLLIN, 1 + i);
        write_bytes(rare[i][1], 1);
    }
    for (int i = 0; i < 300; i++) {
        struct events events = wait_at_most(ep, 1, BOUND_MS);
        CHECK_EQ(events.n, 1);
        seen[events.at[0].data.u64]++;
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(seen[i], 100);
}

/* Two thousand items, five of them active: each wait reports exactly the active ones, level and
 * edge (W3, W4). */
#include "harness.h"

#define ITEMS 2000

void test(void)
{
    static int fd[ITEMS][2];
    int active[] = {3, 500, 777, 1500, 1999};
    raise_descriptor_limit();
    for (int edge = 0; edge < 2; edge++) {
        int ep = new_epoll();
        for (int i = 0; i < ITEMS; i++) {
            make_pair(SOCK_STREAM, fd[i]);
            ADD(ep, fd[i][0], EPOLLIN | (edge ? EPOLLET : 0), i);
        }
        EXPECT_NONE_NOW(ep);
        for (int round = 0; round < 20; round++) {
            for (int i = 0; i < 5; i++)
                write_bytes(fd[active[i]][1], 1);
            for (int wait = 0; wait < (edge ? 1 : 3); wait++) {
                struct events events = wait_at_most(ep, 64, BOUND_MS);
                sort_by_data(&events);
                CHECK_EQ(events.n, 5);
                for (int i = 0; i < 5; i++) {
                    CHECK_EQ(events.at[i].data.u64, active[i]);
                    CHECK_EQ(events.at[i].events, EPOLLIN);
                }
            }
            if (edge) {
                EXPECT_NONE_NOW(ep);
                continue;
            }
            for (int i = 0; i < 5; i++)
                CHECK_EQ(read_all(fd[active[i]][0]), 1);
            EXPECT_NONE_NOW(ep);
        }

        /* Each time another item is the active one. */
        for (int i = 0; i < ITEMS; i += 7) {
            write_bytes(fd[i][1], 1);
            EXPECT_ONE(ep, i, EPOLLIN);
            read_all(fd[i][0]);
        }
        EXPECT_NONE_NOW(ep);
        for (int i = 0; i < ITEMS; i++)
            OK(close_range(fd[i][0], fd[i][1], 0));
        OK(close(ep));
    }
}

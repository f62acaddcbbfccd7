/* With maxevents below the number of ready items each gets its turn, in the order in which they became ready (W3). */
#include "harness.h"

void test(void)
{
    int order[] = {3, 0, 4, 1, 2};
    for (int max = 1; max <= 4; max++) {
        int ep = new_epoll(), fd[5];
        for (int i = 0; i < 5; i++) {
            fd[i] = OK(eventfd(0, EFD_NONBLOCK));
            ADD(ep, fd[i], EPOLLIN, i);
        }
        for (int i = 0; i < 5; i++)
            add_one(fd[order[i]]);

        /* Several rounds, in which each wait goes on where the last one stopped. */
        for (int place = 0; place < 40; place += max) {
            struct events events = wait_at_most(ep, max, BOUND_MS);
            CHECK_EQ(events.n, max);
            for (int i = 0; i < max; i++)
                CHECK_EQ(events.at[i].data.u64, order[(place + i) % 5]);
        }
        for (int i = 0; i < 5; i++)
            OK(close(fd[i]));
        OK(close(ep));
    }
}

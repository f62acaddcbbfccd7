/* With maxevents below the number of ready items each is reported in rotation: a reported item
 * moves to the tail (W3). */
#include "harness.h"

void test(void)
{
    for (int max = 1; max <= 4; max++) {
        int ep = new_epoll(), fd[5], order[5];
        for (int i = 0; i < 5; i++) {
            fd[i] = OK(eventfd(1, EFD_NONBLOCK));
            ADD(ep, fd[i], EPOLLIN, i);
        }

        /* The first round determines the order, and all others repeat it; each wait continues after
         * the last item of the one before. */
        unsigned seen = 0;
        for (int place = 0; place < 40; place += max) {
            struct events events = wait_at_most(ep, max, BOUND_MS);
            CHECK_EQ(events.n, max);
            for (int i = 0; i < max; i++)
                if (place + i < 5) {
                    order[place + i] = events.at[i].data.u32;
                    seen |= 1u << order[place + i];
                } else {
                    CHECK_EQ(events.at[i].data.u64, order[(place + i) % 5]);
                }
        }
        CHECK_EQ(seen, 31);
        for (int i = 0; i < 5; i++)
            OK(close(fd[i]));
        OK(close(ep));
    }
}

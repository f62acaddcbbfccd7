/* Items are reported in the order in which they became ready, level- and edge-triggered, in one
 * wait or in several (W3). */
#include "harness.h"

void test(void)
{
    int order[] = {3, 0, 4, 1, 2};
    for (int edge = 0; edge < 2; edge++)
        for (int max = 1; max <= 5; max++) {
            int ep = new_epoll(), fd[5];
            for (int i = 0; i < 5; i++) {
                fd[i] = OK(eventfd(0, EFD_NONBLOCK));
                ADD(ep, fd[i], EPOLLIN | (edge ? EPOLLET : 0), i);
            }
            for (int i = 0; i < 5; i++)
                add_one(fd[order[i]]);
            for (int place = 0; place < 5;) {
                struct events events = wait_at_most(ep, max, BOUND_MS);
                CHECK(events.n > 0);
                for (int i = 0; i < events.n && place < 5; i++)
                    CHECK_EQ(events.at[i].data.u64, order[place++]);
            }
            for (int i = 0; i < 5; i++)
                OK(close(fd[i]));
            OK(close(ep));
        }
}

/* Of several threads in a wait one event wakes one, the one that came last; the others stay asleep
 * (W9). */
#include "harness.h"

#define THREADS 4

void test(void)
{
    uint32_t modes[] = {EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
    for (int mode = 0; mode < 2; mode++) {
        int ep = new_epoll(), fd[THREADS];
        struct waiter waiters[THREADS];
        for (int i = 0; i < THREADS; i++) {
            fd[i] = OK(eventfd(0, 0));
            ADD(ep, fd[i], modes[mode], i);
        }
        for (int i = 0; i < THREADS; i++)
            start_waiter(&waiters[i], ep);
        for (int i = THREADS - 1; i >= 0; i--) {
            add_one(fd[i]);
            CHECK_EQ(join_waiter(&waiters[i]), 1);
            CHECK_EQ(waiters[i].at[0].data.u64, i);
            for (int j = 0; j < i; j++)
                CHECK(!atomic_load(&waiters[j].done));
        }
    }
}

/* A level that stays high wakes one waiter after the other, until none is left (W9, W3). */
#include "harness.h"

#define THREADS 4

void test(void)
{
    int ep = new_epoll(), fd[2];
    struct waiter waiters[THREADS];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 1);
    for (int i = 0; i < THREADS; i++)
        start_waiter(&waiters[i], ep);
    write_bytes(fd[1], 1);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(join_waiter(&waiters[i]), 1);
        CHECK_EQ(waiters[i].at[0].data.u64, 1);
    }
}

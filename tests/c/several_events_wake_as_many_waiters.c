/* Threads take one event each: n events wake n threads, and each event is taken once (W9). */
#include "harness.h"

#define THREADS 4
static int ep, fd[THREADS], taken[THREADS];

static void *taker(void *arg)
{
    int *slot = arg;
    struct events events = wait_at_most(ep, 1, -1);
    CHECK_EQ(events.n, 1);
    *slot = events.at[0].data.u32;
    return NULL;
}

void test(void)
{
    for (int edge = 0; edge < 2; edge++) {
        struct thread threads[THREADS];
        ep = new_epoll();
        for (int i = 0; i < THREADS; i++) {
            fd[i] = OK(eventfd(0, 0));
            ADD(ep, fd[i], EPOLLIN | (edge ? EPOLLET : EPOLLONESHOT), i);
        }
        for (int i = 0; i < THREADS; i++) {
            start_thread(&threads[i], taker, &taken[i]);
            wait_until_blocked(threads[i].tid);
        }
        for (int i = 0; i < THREADS; i++)
            add_one(fd[i]);
        unsigned all = 0;
        for (int i = 0; i < THREADS; i++) {
            join_thread(&threads[i]);
            all |= 1u << taken[i];
        }
        CHECK_EQ(all, (1u << THREADS) - 1);
    }
}

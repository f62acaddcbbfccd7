/* Threads share an instance of one-shot items: one thread at a time has an item, and each token is
 * handled once (W5, W9, T10). */
#include "harness.h"

#define ITEMS 16
#define THREADS 4
#define TOKENS 20000

static int ep, pipes[ITEMS][2];
static atomic_int owners[ITEMS], handled;
static atomic_uchar seen[TOKENS];

static void *worker(void *arg)
{
    (void)arg;
    while (atomic_load(&handled) < TOKENS) {
        struct epoll_event at[4];
        int n = OK(epoll_wait(ep, at, 4, 100));
        for (int i = 0; i < n; i++) {
            int item = at[i].data.u32, token;
            CHECK_EQ(atomic_fetch_add(&owners[item], 1), 0);
            CHECK_EQ(read(pipes[item][0], &token, sizeof token), sizeof token);
            CHECK_EQ(atomic_fetch_add(&seen[token], 1), 0);
            atomic_fetch_add(&handled, 1);
            CHECK_EQ(atomic_fetch_sub(&owners[item], 1), 1);
            MOD(ep, pipes[item][0], EPOLLIN | EPOLLONESHOT | (item % 2 ? EPOLLET : 0), item);
        }
    }
    return NULL;
}

void test(void)
{
    struct thread threads[THREADS];
    ep = new_epoll();
    for (int i = 0; i < ITEMS; i++) {
        make_pipe(pipes[i]);
        ADD(ep, pipes[i][0], EPOLLIN | EPOLLONESHOT, i);
    }
    for (int i = 0; i < THREADS; i++)
        start_thread(&threads[i], worker, NULL);
    unsigned random = 1;
    for (int token = 0; token < TOKENS; token++) {
        random = random * 1103515245 + 12345;
        while (write(pipes[random >> 16 & (ITEMS - 1)][1], &token, sizeof token) != sizeof token)
            CHECK_EQ(errno, EAGAIN);
    }
    for (int i = 0; i < THREADS; i++)
        join_thread(&threads[i]);
    CHECK_EQ(handled, TOKENS);
}

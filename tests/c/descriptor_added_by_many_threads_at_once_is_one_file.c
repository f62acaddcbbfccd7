/* Threads that add one descriptor, new to all of them, to an instance each, at the same time: each
 * can change and delete its registration, each hears of what arrives, and a close ends all of them
 * (T4, X1, D1). */
#include "harness.h"

#include <sched.h>

#define THREADS 2
#define ROUNDS 20000

static int eps[THREADS], fd[2];
static atomic_int begun, added;
static atomic_bool over;

/* They look for the beginning without sleep, to be as close to each other as they can. */
static void *adder(void *arg)
{
    int me = (intptr_t)arg;
    for (int round = 1;; round++) {
        for (int i = 0; atomic_load(&begun) < round; i++) {
            if (atomic_load(&over))
                return NULL;
            if (i % 1000 == 999)
                sched_yield();
        }
        ADD(eps[me], fd[0], EPOLLIN | EPOLLET, round);
        atomic_fetch_add(&added, 1);
    }
}

void test(void)
{
    struct thread threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        eps[i] = new_epoll();
        start_thread(&threads[i], adder, (void *)(intptr_t)i);
    }
    /* As many as there is time for: where processors are scarce each takes long. */
    int64_t end = now_ns() + BOUND_MS * 1000000ll;
    for (int round = 1; round <= ROUNDS && now_ns() < end; round++) {
        make_pipe(fd);
        atomic_store(&begun, round);
        while (atomic_load(&added) < round * THREADS)
            sched_yield();
        write_bytes(fd[1], 1);
        for (int i = 0; i < THREADS; i++) {
            EXPECT_ONE(eps[i], round, EPOLLIN);
            MOD(eps[i], fd[0], EPOLLIN | EPOLLET, round);
        }
        DEL(eps[round % THREADS], fd[0]);
        OK(close(fd[0]));
        OK(close(fd[1]));
        EXPECT_NONE_NOW(eps[0]);
        EXPECT_NONE_NOW(eps[1]);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        join_thread(&threads[i]);
}

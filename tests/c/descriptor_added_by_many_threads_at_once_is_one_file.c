/* Several threads add one new descriptor to an instance each, at the same time: each can modify and
 * delete its registration, each instance reports an arrival, and a close ends all registrations
 * (T4, X1, D1). */
#include "harness.h"

#include <sched.h>

#define THREADS 2
#define ROUNDS 20000

static int eps[THREADS], fd[2];
static atomic_int begun, added;
static atomic_bool over;

/* The threads spin until a round begins, so that their calls overlap as closely as possible. */
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
    /* As many rounds as there is time for: with few processors each takes long. */
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

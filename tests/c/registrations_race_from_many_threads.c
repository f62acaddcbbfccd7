/* Threads add, modify, delete and close their own descriptors in one instance while others wait;
 * the number of events is right (T10). */
#include "harness.h"

#define THREADS 4
#define ROUNDS 3000
static int ep, stop;
static _Atomic uint64_t live[THREADS]; /* the data that may be reported for a thread: its current round */

static void *churner(void *arg)
{
    uint64_t me = (uintptr_t)arg;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        int fd[2];
        make_pipe(fd);
        atomic_store(&live[me], round);
        ADD(ep, fd[0], round % 2 ? EPOLLIN : EPOLLIN | EPOLLET, me << 32 | round);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd[0], EPOLLIN, 0), EEXIST);
        write_bytes(fd[1], 1);
        MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, me << 32 | round);
        if (round % 3)
            DEL(ep, fd[0]);
        OK(close(fd[0]));
        OK(close(fd[1]));
    }
    return NULL;
}

static void *watcher(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t before[THREADS];
        for (int i = 0; i < THREADS; i++)
            before[i] = atomic_load(&live[i]);
        struct events events = wait_events(ep, -1);
        CHECK(events.n > 0);
        for (int i = 0; i < events.n; i++) {
            if (events.at[i].data.u64 == UINT64_MAX)
                return NULL;
            CHECK((events.at[i].data.u64 & 0xffffffff) >= before[events.at[i].data.u64 >> 32]);
        }
    }
}

void test(void)
{
    struct thread churners[THREADS], watchers[2];
    ep = new_epoll();
    stop = OK(eventfd(0, 0));
    ADD(ep, stop, EPOLLIN, UINT64_MAX);
    for (int i = 0; i < 2; i++)
        start_thread(&watchers[i], watcher, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        start_thread(&churners[i], churner, (void *)i);
    for (int i = 0; i < THREADS; i++)
        join_thread(&churners[i]);
    add_one(stop);
    for (int i = 0; i < 2; i++)
        join_thread(&watchers[i]);
}

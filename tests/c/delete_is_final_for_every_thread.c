/* After DEL, or the last close, has returned, no new wait reports the item, in any thread, although
 * the descriptor was ready all the time and other items were being reported (T10, D1). */
#include "harness.h"

#define WAITERS 3
#define ROUNDS 4000
static int ep, stop;
static atomic_uint dead; /* every item up to this one is gone */

static void *watcher(void *arg)
{
    (void)arg;
    for (;;) {
        unsigned before = atomic_load(&dead);
        struct events events = wait_events(ep, -1);
        for (int i = 0; i < events.n; i++) {
            if (events.at[i].data.u64 == UINT64_MAX)
                return NULL;
            CHECK(events.at[i].data.u64 > before);
        }
    }
}

void test(void)
{
    struct thread watchers[WAITERS];
    ep = new_epoll(), stop = OK(eventfd(0, 0));
    ADD(ep, stop, EPOLLIN, UINT64_MAX);
    for (int i = 0; i < WAITERS; i++)
        start_thread(&watchers[i], watcher, NULL);
    const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE};
    for (unsigned i = 1; i <= ROUNDS; i++) {
        int fd = OK(eventfd(1, 0));
        ADD(ep, fd, EPOLLIN | modes[i % 4], i);
        if (i % 3 == 0)
            DEL(ep, fd);
        else if (i % 3 == 1)
            OK(dup2(stop, fd));
        OK(close(fd));
        atomic_store(&dead, i);
    }
    add_one(stop);
    for (int i = 0; i < WAITERS; i++)
        join_thread(&watchers[i]);
}

/* While threads wait, another one modifies, deletes and adds one item all the time: no event has
 * data from before the last call that had returned when its wait began (T10). */
#include "harness.h"

#define THREADS 3
#define ROUNDS 30000
static int ep, stop;
static atomic_uint floor_;
static atomic_long seen;

static void *watcher(void *arg)
{
    (void)arg;
    for (;;) {
        unsigned least = atomic_load(&floor_);
        struct events events = wait_events(ep, -1);
        CHECK(events.n > 0);
        for (int i = 0; i < events.n; i++) {
            if (events.at[i].data.u64 == UINT64_MAX)
                return NULL;
            CHECK(events.at[i].data.u64 >= least);
            CHECK(events.at[i].events == (events.at[i].data.u64 % 2 ? EPOLLIN : EPOLLOUT));
            atomic_fetch_add(&seen, 1);
        }
    }
}

void test(void)
{
    struct thread threads[THREADS];
    ep = new_epoll();
    stop = OK(eventfd(0, 0));
    ADD(ep, stop, EPOLLIN, UINT64_MAX);

    /* Always readable and writable; the mask and the data change together. */
    int fd = OK(eventfd(1, 0));
    ADD(ep, fd, EPOLLOUT, 0);
    for (int i = 0; i < THREADS; i++)
        start_thread(&threads[i], watcher, NULL);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        uint32_t mask = i % 2 ? EPOLLIN : EPOLLOUT;
        if (i % 5 == 0)
            mask |= EPOLLET;
        if (i % 3 == 0) {
            DEL(ep, fd);
            atomic_store(&floor_, i);
            ADD(ep, fd, mask, i);
        } else {
            MOD(ep, fd, mask, i);
            atomic_store(&floor_, i);
        }
    }
    UNTIL(atomic_load(&seen) > 0);
    DEL(ep, fd);
    add_one(stop);
    for (int i = 0; i < THREADS; i++)
        join_thread(&threads[i]);
}

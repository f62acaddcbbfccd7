/* A byte travels round a ring of edge-triggered pipes, each hop one edge, with one thread and with
 * three (W4, W9, E6). */
#include "harness.h"

#define PIPES 64
#define HOPS 20000
static int ep, ring[PIPES][2], stop;
static atomic_int hops;

static void *carrier(void *arg)
{
    (void)arg;
    for (;;) {
        struct events events = wait_at_most(ep, 4, BOUND_MS);
        CHECK(events.n > 0);
        for (int i = 0; i < events.n; i++) {
            int at = events.at[i].data.u32;
            if (at == PIPES)
                return NULL;
            char buffer[64];
            CHECK_EQ(read(ring[at][0], buffer, sizeof buffer), 1);
            if (atomic_fetch_add(&hops, 1) == HOPS)
                add_one(stop);
            else
                write_bytes(ring[(at + 1) % PIPES][1], 1);
        }
    }
}

/* Each hop is in time; all of them may take long. */
static void await_the_last_hop(void)
{
    for (int seen = 0; seen <= HOPS; seen = atomic_load(&hops))
        UNTIL(atomic_load(&hops) > seen);
}

void test(void)
{
    for (int threads = 1; threads <= 3; threads += 2) {
        struct thread carriers[3];
        ep = new_epoll();
        hops = 0;
        stop = OK(eventfd(0, 0));
        ADD(ep, stop, EPOLLIN, PIPES);
        for (int i = 0; i < PIPES; i++) {
            make_pipe(ring[i]);
            ADD(ep, ring[i][0], EPOLLIN | EPOLLET, i);
        }
        for (int i = 0; i < threads; i++)
            start_thread(&carriers[i], carrier, NULL);
        write_bytes(ring[0][1], 1);
        await_the_last_hop();
        for (int i = 0; i < threads; i++)
            join_thread(&carriers[i]);
    }
}

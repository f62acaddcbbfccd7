/* A queue in memory with a source beside it: some threads insert elements and post, others wait,
 * clear and remove. Every element comes out once, however the source is registered. */
#include "capi.h"

#define FEEDERS 3
#define EACH 20000

static int ep, source, stop;
static atomic_int queued, taken;
static uint32_t how;

static void *feed(void *unused)
{
    (void)unused;
    for (int i = 0; i < EACH; i++) {
        atomic_fetch_add(&queued, 1);
        OK(epolyfill_source_post(source, EPOLLIN));
    }
    return NULL;
}

static void *drain(void *unused)
{
    (void)unused;
    for (;;) {
        struct epoll_event at[2];
        int n = epoll_wait(ep, at, 2, BOUND_MS);
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            if (at[i].data.fd == stop)
                return NULL;
            /* Clear before emptying the queue, or posts made in between are lost. */
            OK(epolyfill_source_clear(source, EPOLLIN));
            atomic_fetch_add(&taken, atomic_exchange(&queued, 0));
            if (how & EPOLLONESHOT)
                MOD(ep, source, EPOLLIN | how, source);
        }
    }
}

void test(void)
{
    const uint32_t ways[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    for (int drainers = 1; drainers <= 2; drainers++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            how = ways[i];
            ep = new_epoll();
            source = OK(epolyfill_source_new(0));
            stop = OK(eventfd(0, 0));
            atomic_store(&taken, 0);
            ADD(ep, source, EPOLLIN | how, source);
            ADD(ep, stop, EPOLLIN, stop);
            struct thread feeder[FEEDERS], drainer[2];
            for (int k = 0; k < drainers; k++)
                start_thread(&drainer[k], drain, NULL);
            for (int k = 0; k < FEEDERS; k++)
                start_thread(&feeder[k], feed, NULL);
            for (int k = 0; k < FEEDERS; k++)
                join_thread(&feeder[k]);
            for (int ms = 0; ms < BOUND_MS && atomic_load(&taken) < FEEDERS * EACH; ms++)
                usleep(1000);
            CHECK_EQ(atomic_load(&taken), FEEDERS * EACH);
            add_one(stop);
            for (int k = 0; k < drainers; k++)
                join_thread(&drainer[k]);
            OK(close(source));
            OK(close(stop));
            OK(close(ep));
        }
    }
}

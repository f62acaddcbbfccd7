/* A wait without a timeout returns events or an error, never 0, even if another thread takes the
 * event that woke it (W2, W7). */
#include "harness.h"

#define ROUNDS 20000
static int items[3], stop;

static void *thief(void *arg)
{
    (void)arg;
    uint64_t value;
    for (int i = 0; i < ROUNDS; i++) {
        add_one(items[i % 3]);
        CHECK_EQ(read(items[i % 3], &value, 8), 8);
    }
    add_one(stop);
    return NULL;
}

void test(void)
{
    struct thread thread;
    int ep = new_epoll();
    uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN};
    for (int i = 0; i < 3; i++) {
        items[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, items[i], modes[i], i);
    }
    stop = OK(eventfd(0, 0));
    ADD(ep, stop, EPOLLIN, 9);
    start_thread(&thread, thief, NULL);
    for (;;) {
        struct events events = wait_events(ep, -1);
        CHECK(events.n > 0);
        if (events.at[events.n - 1].data.u64 == 9)
            break;
    }
    join_thread(&thread);
}

/* An event loop wakes itself by an eventfd that other threads write and no thread reads; each write
 * wakes the loop (E1). */
#include "harness.h"

#define WAKES 3000
static int bell;
static atomic_int rung, heard;

static void *ringer(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAKES; i++) {
        atomic_store(&rung, i + 1);
        add_one(bell);
        /* The next write follows the report of this one, so no two writes merge into one edge. */
        int64_t start = now_ns();
        while (atomic_load(&heard) <= i)
            CHECK(now_ns() - start < BOUND_MS * 1000000ll);
    }
    return NULL;
}

void test(void)
{
    struct thread thread;
    int ep = new_epoll();
    bell = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    start_thread(&thread, ringer, NULL);
    for (int i = 0; i < WAKES; i++) {
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(atomic_load(&rung), i + 1);
        atomic_store(&heard, i + 1);
    }
    join_thread(&thread);
    EXPECT_NONE(ep);
}

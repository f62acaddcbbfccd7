/* An instance whose edge-triggered item is never drained becomes readable again with each arrival,
 * also for a thread that sleeps (N1, E1). */
#include "harness.h"

static int ep;

static void *polls(void *arg)
{
    (void)arg;
    struct pollfd p = {.fd = ep, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(poll(&p, 1, 0), 0);
    return NULL;
}

void test(void)
{
    int fd = OK(eventfd(0, 0));
    ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 20; i++) {
        struct thread thread;
        start_thread(&thread, polls, NULL);
        wait_until_blocked(thread.tid);
        add_one(fd);
        join_thread(&thread);
    }
}

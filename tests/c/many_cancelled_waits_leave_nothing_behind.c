/* Two thousand threads, each cancelled in or near its wait, leak nothing and leave the instance
 * intact (W10). */
#include "harness.h"

static int ep;

static void *waits(void *arg)
{
    (void)arg;
    struct epoll_event at[4];
    while (epoll_wait(ep, at, 4, -1) >= 0)
        ;
    return NULL;
}

void test(void)
{
    int fd = OK(eventfd(0, 0)), descriptors = 0;
    long before = 0;
    ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 2000; i++) {
        struct thread thread;
        start_thread(&thread, waits, NULL);
        if (i % 8 == 0)
            wait_until_blocked(thread.tid);
        if (i % 3 == 0)
            add_one(fd);
        PT(pthread_cancel(thread.id));
        CHECK(join_thread(&thread) == PTHREAD_CANCELED);
        if (i == 200) {
            before = resident_kb();
            descriptors = open_descriptors();
        }
    }
    CHECK(resident_kb() - before < 2048);
    CHECK_EQ(open_descriptors(), descriptors);
    wait_events(ep, 0);
    add_one(fd);
    EXPECT_ONE(ep, 1, EPOLLIN);
}

/* A thread sleeps in a wait with room for one event. When two descriptors are written to, a wait
 * with timeout 0 finds one of them, whether the sleeper has run by then or not (W2). */
#include "harness.h"

enum { ROUNDS = 200 };

static int ep;

static void *wait_for_one(void *arg)
{
    (void)arg;
    CHECK_EQ(wait_at_most(ep, 1, -1).n, 1);
    return NULL;
}

static void run(uint32_t events)
{
    int fd[2];
    ep = new_epoll();
    for (int i = 0; i < 2; i++) {
        fd[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, fd[i], events, i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct thread thread;
        start_thread(&thread, wait_for_one, NULL);
        wait_until_blocked(thread.tid);
        add_one(fd[0]);
        add_one(fd[1]);
        CHECK_EQ(wait_at_most(ep, 1, 0).n, 1);
        join_thread(&thread);
        read_all(fd[0]);
        read_all(fd[1]);
    }
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    run(EPOLLIN | EPOLLET);
    run(EPOLLIN);
}

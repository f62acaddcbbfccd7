/* The only event goes to the thread that came last, even if the timeout of an older wait expires at
 * that moment (W9). */
#include "harness.h"

enum { ROUNDS = 60, LIMIT_MS = 20 };

static int ep;

static void *wait_with_limit(void *arg)
{
    (void)arg;
    struct epoll_event event;
    CHECK_EQ(epoll_wait(ep, &event, 1, LIMIT_MS), 0);
    return NULL;
}

static void run_round(int fd, int round)
{
    struct thread older;
    struct waiter newer;
    int64_t began_ns = now_ns();
    start_thread(&older, wait_with_limit, NULL);
    wait_until_blocked_or_gone(older.tid);
    start_waiter(&newer, ep);
    int64_t left_ns = began_ns + LIMIT_MS * 1000000ll + (round % 20 - 10) * 50000ll - now_ns();
    struct timespec pause = {0, left_ns > 0 ? left_ns : 0};
    OK(nanosleep(&pause, NULL));
    add_one(fd);
    CHECK_EQ(join_waiter(&newer), 1);
    join_thread(&older);
    read_all(fd);
}

void test(void)
{
    int fd = OK(eventfd(0, EFD_NONBLOCK));
    ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int round = 0; round < ROUNDS; round++)
        run_round(fd, round);
}

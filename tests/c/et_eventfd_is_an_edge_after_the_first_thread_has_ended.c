/* The first thread of a process ends while other threads keep waiting. Another process adds to an
 * unread eventfd: each addition is an edge (E1). */
#include "harness.h"

static int ep, bell;

static void ring_from_elsewhere(void)
{
    pid_t child = OK(fork());
    if (child == 0) {
        add_one(bell);
        _exit(0);
    }
    int status;
    OK(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
}

static void *goes_on(void *unused)
{
    /* /proc/self refers to the first thread. */
    UNTIL(access("/proc/self/fd/0", F_OK) == -1);
    for (int i = 0; i < 3; i++) {
        ring_from_elsewhere();
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
    _exit(0);
    return unused;
}

void test(void)
{
    pid_t child = OK(fork());
    if (child == 0) {
        struct thread thread;
        ep = new_epoll();
        bell = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, bell, EPOLLIN | EPOLLET, 1);
        start_thread(&thread, goes_on, NULL);
        pthread_exit(NULL);
    }
    int status;
    OK(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
}

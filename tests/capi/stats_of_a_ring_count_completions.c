/* Edges that the kernel reports through io_uring are counted as such, and do not cost a poll. */
#include "stats.h"

void test(void)
{
    if (getenv("EPOLYFILL_POLLER") == NULL) {
        OK(setenv("EPOLYFILL_POLLER", "uring", 1));
        OK(execv("/proc/self/exe", test_argv));
    }
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 0);
    CHECK_EQ(wait_events(ep, 0).n, 0);
    if (stats_of(ep).rings == 0)
        exit(77); /* the kernel refuses a ring */
    struct epolyfill_stats before = stats_of(ep);
    for (int i = 0; i < 5; i++) {
        write_bytes(fd[1], 1);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    }
    CHECK_EQ(GREW(edges_ring), 5);
    CHECK_EQ(GREW(events), 5);
    CHECK_EQ(GREW(enqueues), 5);
    CHECK_EQ(GREW(edges_level) + GREW(edges_count) + GREW(edges_call), 0);
    CHECK_EQ(GREW(polls) + GREW(samples), 0);
    CHECK(GREW(completions) >= 5);
    CHECK_EQ(before.rings, 1);
    CHECK_EQ(stats_of(ep).rings_left, 0);
    CHECK_EQ(wait_events(ep, 20).n, 0);
    CHECK_EQ(GREW(sleeps), 1);
    CHECK_EQ(GREW(empty_wakeups), 0);

    /* A nested instance is polled. */
    int outer = new_epoll();
    ADD(outer, ep, EPOLLIN, 0);
    CHECK_EQ(wait_events(ep, 0).n, 0);
    CHECK_EQ(stats_of(ep).rings_left, 1);
    OK(close(outer));
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

/* A user may queue few signals (RLIMIT_SIGPENDING), or none: however many descriptors become ready
 * meanwhile, and however often, each is reported, and once (W3, E1). */
#include "harness.h"

#define N 60

static void try(rlim_t limit, uint32_t edge)
{
    struct rlimit before;
    OK(getrlimit(RLIMIT_SIGPENDING, &before));
    OK(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max}));
    int ep = new_epoll(), fd[N][2];
    for (int i = 0; i < N; i++) {
        if (i % 2)
            make_tcp(fd[i]);
        else
            make_pipe(fd[i]);
        ADD(ep, fd[i][0], EPOLLIN | edge, i);
    }
    EXPECT_NONE_NOW(ep);
    for (int round = 0; round < 10; round++) {
        bool heard[N] = {false};
        for (int k = 0; k < 5; k++)
            for (int i = 0; i < N; i++)
                write_bytes(fd[i][1], 1);
        for (int n = 0; n < N;) {
            struct events events = wait_events(ep, BOUND_MS);
            CHECK(events.n > 0);
            for (int i = 0; i < events.n; i++) {
                size_t at = events.at[i].data.u64;
                n += !heard[at];
                heard[at] = true;
                read_all(fd[at][0]);
            }
        }
        for (int i = 0; i < N; i++)
            read_all(fd[i][0]);
        while (wait_events(ep, 0).n > 0)
            ;
    }
    struct waiter waiter;
    start_waiter(&waiter, ep);
    write_bytes(fd[N - 1][1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    OK(setrlimit(RLIMIT_SIGPENDING, &before));
    for (int i = 0; i < N; i++)
        OK(close(fd[i][0])), OK(close(fd[i][1]));
    OK(close(ep));
}

/* Thousands of arrivals on one descriptor are one report. */
static void flood(uint32_t edge)
{
    int ep = new_epoll(), fd[2], other[2];
    make_pipe(fd);
    make_pipe(other);
    ADD(ep, fd[0], EPOLLIN | edge, 1);
    ADD(ep, other[0], EPOLLIN | edge, 2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4000; i++)
            write_bytes(fd[1], 1);
        write_bytes(other[1], 1);
        struct events events = wait_events(ep, 0);
        sort_by_data(&events);
        CHECK_EQ(events.n, 2);
        CHECK_EQ(events.at[0].data.u64, 1);
        CHECK_EQ(read_all(fd[0]), 4000);
        CHECK_EQ(read_all(other[0]), 1);
        EXPECT_NONE_NOW(ep);
    }
    OK(close(fd[0])), OK(close(fd[1])), OK(close(other[0])), OK(close(other[1])), OK(close(ep));
}

void test(void)
{
    flood(0);
    flood(EPOLLET);
    rlim_t limits[] = {0, 1, 40};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int edge = 0; edge < 2; edge++)
            try(limits[i], edge ? EPOLLET : 0);
}

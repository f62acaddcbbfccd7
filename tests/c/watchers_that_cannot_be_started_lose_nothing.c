/* A program whose new threads are refused (EAGAIN) from now on misses nothing of hundreds of silent
 * registrations, whether it waits, is woken by another thread, polls the instance, or waits on an
 * outer one (W3, W4, N1). */
#include "faults.h"

#define N 200

static int ep, outer, fd[N][2], busy[2];

/* Wakes up for the busy item so often that silent ones would move to a watcher thread. */
static void fall_silent(void)
{
    for (int i = 0; i < 2000; i++) {
        write_bytes(busy[1], 1);
        EXPECT_ONE(ep, N, EPOLLIN);
        CHECK_EQ(read_all(busy[0]), 1);
    }
}

static void *writes_to(void *arg)
{
    for (;;) {
        int at = atomic_load((atomic_int *)arg);
        if (at == -2)
            return NULL;
        if (at >= 0) {
            pause_ms(2);
            atomic_store((atomic_int *)arg, -1);
            write_bytes(fd[at][1], 1);
        }
        sched_yield();
    }
}

void test(void)
{
    static atomic_int at = -1;
    struct thread writer;
    start_thread(&writer, writes_to, &at);
    refuse_threads();
    ep = new_epoll();
    outer = new_epoll();
    make_pipe(busy);
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    ADD(ep, busy[0], EPOLLIN, N);
    fall_silent();
    for (int i = 0; i < N; i += 19) {
        atomic_store(&at, i);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), 1);
    }
    EXPECT_NONE(ep);

    /* A look from outside. */
    ADD(outer, ep, EPOLLIN, 1);
    for (int i = 0; i < N; i += 19) {
        atomic_store(&at, i);
        EXPECT_ONE(outer, 1, EPOLLIN);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), 1);
        EXPECT_NONE_NOW(outer);

        struct pollfd p = {.fd = ep, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 0), 0);
        atomic_store(&at, i);
        CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), 1);

        fd_set set;
        FD_ZERO(&set);
        FD_SET(ep, &set);
        struct timeval limit = {.tv_sec = BOUND_MS / 1000};
        atomic_store(&at, i);
        CHECK_EQ(select(ep + 1, &set, NULL, NULL, &limit), 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), 1);
    }
    /* Doing without watchers costs no processor time. */
    int64_t cpu = cpu_ns();
    atomic_store(&at, -2);
    join_thread(&writer);
    cpu = cpu_ns();
    CHECK_EQ(wait_events(outer, 300).n, 0);
    CHECK_EQ(wait_events(ep, 300).n, 0);
    CHECK(cpu_ns() - cpu < 150000000);
}

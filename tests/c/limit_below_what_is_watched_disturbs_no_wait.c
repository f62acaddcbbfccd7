/* RLIMIT_NOFILE can fall below the number of registrations, by a call of the program or from
 * outside, without any effect: epoll needs no number for existing registrations (C3). */
#include "faults.h"

#define N 300

static int ep, fd[N][2];

static void set_up(uint32_t events)
{
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], events, i);
    }
}

static void *wait_once(void *arg)
{
    (void)arg;
    struct epoll_event event;
    int n;
    /* wait_until_blocked does not work here: where poll() accepts no more entries, a thread wakes
     * up now and then to look at the rest. */
    CHECK_EQ(n = epoll_wait(ep, &event, 1, BOUND_MS), 1);
    return (void *)(intptr_t)event.data.u64;
}

/* Arrivals at each position, first, middle and last, are reported to a look and to a blocked
 * thread, and only once. */
static void everything_is_heard(void)
{
    int at[] = {0, N / 2, N - 1};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        write_bytes(fd[at[i]][1], 1);
        EXPECT_ONE(ep, at[i], EPOLLIN);
        CHECK_EQ(read_all(fd[at[i]][0]), 1);
        EXPECT_NONE_NOW(ep);

        struct thread thread;
        start_thread(&thread, wait_once, NULL);
        pause_ms(5);
        write_bytes(fd[at[i]][1], 1);
        CHECK_EQ((intptr_t)join_thread(&thread), at[i]);
        CHECK_EQ(read_all(fd[at[i]][0]), 1);
    }
    EXPECT_NONE(ep);
    /* A deleted item is not reported, and control works. */
    DEL(ep, fd[7][0]);
    write_bytes(fd[7][1], 1);
    EXPECT_NONE_NOW(ep);
    ADD(ep, fd[7][0], EPOLLIN, 7);
    EXPECT_ONE(ep, 7, EPOLLIN);
    CHECK_EQ(read_all(fd[7][0]), 1);
    DEL(ep, fd[7][0]);
    ADD(ep, fd[7][0], EPOLLIN | EPOLLET, 7);
}

/* A wait without events lasts for its whole timeout and uses no processor time. */
static void waits_cost_no_time(void)
{
    int64_t start = now_ns(), cpu = cpu_ns();
    CHECK_EQ(wait_events(ep, 300).n, 0);
    CHECK(now_ns() - start >= 300000000);
    CHECK(cpu_ns() - cpu < 100000000);
}

/* No thread waits, but the descriptor was polled: keeping its level up to date costs no time. */
static void nobody_is_busy(rlim_t limit, rlim_t before)
{
    subject = "nobody waits";
    set_up(EPOLLIN);
    struct pollfd entry = {.fd = ep, .events = POLLIN};
    CHECK_EQ(poll(&entry, 1, 0), 0);
    limit_numbers(limit);
    write_bytes(fd[N / 2][1], 1);
    int64_t cpu = cpu_ns();
    pause_ms(300);
    CHECK(cpu_ns() - cpu < 100000000);
    limit_numbers(before);
    UNTIL(poll(&entry, 1, 0) == 1);
    EXPECT_ONE(ep, N / 2, EPOLLIN);
    for (int i = 0; i < N; i++)
        OK(close(fd[i][0])), OK(close(fd[i][1]));
    OK(close(ep));
}

void test(void)
{
    raise_descriptor_limit();
    struct rlimit before;
    OK(getrlimit(RLIMIT_NOFILE, &before));
    uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET};
    rlim_t limits[] = {400, 64, 2, 1, 0};
    for (size_t m = 0; m < 2; m++) {
        set_up(modes[m]);
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            /* In all rounds but the first the other items are silent for so long that a watcher
             * thread may take them. */
            for (int k = 0; k < (i == 0 ? 0 : 700); k++) {
                write_bytes(fd[0][1], 1);
                EXPECT_ONE(ep, 0, EPOLLIN);
                CHECK_EQ(read_all(fd[0][0]), 1);
            }
            static char text[32];
            snprintf(text, sizeof text, "limit %d, mode %zu", (int)limits[i], m);
            subject = text;
            limit_numbers(limits[i]);
            everything_is_heard();
            waits_cost_no_time();
            limit_numbers(before.rlim_cur);
            everything_is_heard();
        }

        /* Lowered by another process while a thread sleeps in a wait. */
        subject = "from outside";
        struct thread thread;
        start_thread(&thread, wait_once, NULL);
        wait_until_blocked(thread.tid);
        pid_t parent = getpid(), child = OK(fork());
        if (child == 0) {
            struct rlimit low = {.rlim_cur = 3, .rlim_max = before.rlim_max};
            OK(prlimit(parent, RLIMIT_NOFILE, &low, NULL));
            _exit(0);
        }
        expect_exit_0(child);
        MOD(ep, fd[9][0], modes[m], 9);
        write_bytes(fd[N - 1][1], 1);
        CHECK_EQ((intptr_t)join_thread(&thread), N - 1);
        CHECK_EQ(read_all(fd[N - 1][0]), 1);
        everything_is_heard();
        limit_numbers(before.rlim_cur);
        for (int i = 0; i < N; i++) {
            OK(close(fd[i][0]));
            OK(close(fd[i][1]));
        }
        OK(close(ep));
    }
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        nobody_is_busy(limits[i], before.rlim_cur);
}

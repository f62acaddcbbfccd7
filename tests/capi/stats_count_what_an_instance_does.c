/* Each counter of epolyfill_stats counts the operations that it documents, and nothing else. */
#include "oracle.h"
#include "stats.h"
#include <signal.h>

static void an_instance_starts_at_nothing(void)
{
    static const struct epolyfill_stats nothing;
    for (int i = 0; i < 3; i++) {
        int ep = new_epoll(), bell = OK(eventfd(1, 0));
        struct epolyfill_stats stats = stats_of(ep);
        CHECK(memcmp(&stats, &nothing, sizeof stats) == 0);
        /* The next registration reuses the record. */
        ADD(ep, bell, EPOLLIN, 0);
        CHECK_EQ(wait_events(ep, 0).n, 1);
        CHECK_EQ(stats_of(ep).events, 1);
        OK(close(ep));
        OK(close(bell));
    }
}

static void control_calls_and_closes(void)
{
    int ep = new_epoll(), fd[2], bell = OK(eventfd(0, 0));
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 0);
    MOD(ep, fd[0], EPOLLIN, 1);
    ADD(ep, bell, EPOLLIN, 2);
    CHECK_EQ(stats_of(ep).registrations, 2);
    DEL(ep, fd[0]);
    CHECK_EQ(stats_of(ep).controls, 4);
    CHECK_EQ(stats_of(ep).registrations, 1);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, bell, EPOLLIN, 0), EEXIST);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd[0], EPOLLIN, 0), ENOENT);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_DEL, fd[0], EPOLLIN, 0), ENOENT);
    CHECK_EQ(stats_of(ep).controls, 4);
    CHECK_EQ(stats_of(ep).controls_refused, 3);
    OK(close(bell));
    CHECK_EQ(stats_of(ep).closed, 1);
    CHECK_EQ(stats_of(ep).vanished, 0);
    CHECK_EQ(stats_of(ep).registrations, 0);
    CHECK_EQ(stats_of(ep).controls, 4);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

static void a_close_that_nobody_saw(void)
{
    int ep = new_epoll(), bell = OK(eventfd(0, 0));
    ADD(ep, bell, EPOLLIN, 0);
    CHECK_EQ(bare(SYS_close, bell, 0, 0, 0, 0, 0), 0);
    CHECK_EQ(stats_of(ep).closed, 0);
    CHECK_EQ(wait_events(ep, 0).n, 0);
    CHECK_EQ(stats_of(ep).closed, 1);
    CHECK_EQ(stats_of(ep).vanished, 1);
    CHECK_EQ(stats_of(ep).registrations, 0);
    OK(close(ep));
}

static void waits_that_find_nothing(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(wait_events(ep, 0).n, 0);
    struct epolyfill_stats stats = stats_of(ep);
    CHECK_EQ(stats.waits, 3);
    CHECK_EQ(stats.timeouts, 3);
    CHECK_EQ(stats.sleeps, 0);
    CHECK_EQ(stats.polls, 3);
    CHECK_EQ(stats.scanned, 3);
    CHECK_EQ(wait_events(ep, 20).n, 0);
    stats = stats_of(ep);
    CHECK_EQ(stats.waits, 4);
    CHECK_EQ(stats.timeouts, 4);
    CHECK_EQ(stats.sleeps, 1);
    CHECK_EQ(stats.empty_wakeups, 0);
    CHECK_EQ(stats.events + stats.enqueues + stats.stale + stats.kicks + stats.handoffs + stats.samples + stats.interrupted, 0);
    struct epoll_event event;
    CHECK_ERRNO(epoll_wait(ep, &event, 0, 0), EINVAL);
    CHECK_EQ(stats_of(ep).waits, 4);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

static void a_level_that_lasts(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 0);
    write_bytes(fd[1], 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    struct epolyfill_stats stats = stats_of(ep);
    CHECK_EQ(stats.waits, 5);
    CHECK_EQ(stats.events, 5);
    CHECK_EQ(stats.enqueues, 1);
    CHECK_EQ(stats.duplicates, 4);
    CHECK_EQ(stats.ready, 1);
    CHECK_EQ(stats.stale, 0);
    CHECK_EQ(stats.sleeps, 0);
    CHECK_EQ(stats.edges_level, 0);
    CHECK_EQ(read_all(fd[0]), 1);
    CHECK_EQ(wait_events(ep, 0).n, 0);
    stats = stats_of(ep);
    CHECK_EQ(stats.stale, 1);
    CHECK_EQ(stats.ready, 0);
    CHECK_EQ(stats.events, 5);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

/* Checks the counters of edges, by evidence. None of the edges is doubtful or from a ring. */
static void check_edges(int ep, uint64_t level, uint64_t count, uint64_t call)
{
    struct epolyfill_stats stats = stats_of(ep);
    CHECK_EQ(stats.edges_level, level);
    CHECK_EQ(stats.edges_count, count);
    CHECK_EQ(stats.edges_call, call);
    CHECK_EQ(stats.edges_doubted, 0);
    CHECK_EQ(stats.edges_ring, 0);
    CHECK_EQ(stats.events, level + count + call);
}

static void edges_by_how_they_were_found(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 0);
    for (int i = 0; i < 4; i++) {
        write_bytes(fd[1], 1);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
        CHECK_EQ(read_all(fd[0]), 1);
    }
    check_edges(ep, 4, 0, 0);
    for (int i = 0; i < 4; i++) {
        write_bytes(fd[1], 1);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    }
    check_edges(ep, 5, 3, 0);
    CHECK_EQ(wait_events(ep, 0).n, 0);
    check_edges(ep, 5, 3, 0);
    CHECK_EQ(read_all(fd[0]), 4);
    write_bytes(fd[1], 1);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    check_edges(ep, 6, 3, 0);
    OK(close(ep));

    ep = new_epoll();
    int bell = OK(eventfd(0, EFD_NONBLOCK)), tcp[2];
    ADD(ep, bell, EPOLLIN | EPOLLET, 0);
    for (int i = 0; i < 5; i++) {
        add_one(bell);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    }
    check_edges(ep, 1, 0, 4);
    make_tcp(tcp);
    ADD(ep, tcp[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        write_bytes(tcp[1], 10);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    }
    check_edges(ep, 2, 2, 4);
    /* A level-triggered event is not an edge. */
    MOD(ep, tcp[0], EPOLLIN, 1);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    CHECK_EQ(stats_of(ep).events, 9);
    CHECK_EQ(stats_of(ep).edges_level + stats_of(ep).edges_count + stats_of(ep).edges_call, 8);
    OK(close(tcp[0]));
    OK(close(tcp[1]));
    OK(close(bell));
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

static void what_cannot_be_counted_is_doubted(void)
{
    int ep = new_epoll(), random = OK(open("/dev/random", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    ADD(ep, random, EPOLLIN | EPOLLET, 0);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    CHECK_EQ(stats_of(ep).edges_level, 1);
    CHECK_EQ(stats_of(ep).edges_doubted, 0);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    CHECK_EQ(stats_of(ep).edges_level, 1);
    CHECK_EQ(stats_of(ep).edges_doubted, 2);
    OK(close(random));
    OK(close(ep));
}

static void unread_edges_cost_looks(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 0);
    write_bytes(fd[1], 1);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    struct epolyfill_stats before = stats_of(ep);
    CHECK_EQ(wait_events(ep, QUIET_MS).n, 0);
    CHECK(GREW(samples) >= 3);
    CHECK(GREW(empty_wakeups) >= 2);
    /* The last sleep ends with the time-out, or, if the thread runs late, with a look after it. */
    CHECK(GREW(sleeps) == GREW(empty_wakeups) + 1 || GREW(sleeps) == GREW(empty_wakeups));
    CHECK_EQ(GREW(timeouts), 1);
    CHECK_EQ(read_all(fd[0]), 1);
    CHECK_EQ(wait_events(ep, 0).n, 0);
    before = stats_of(ep);
    CHECK_EQ(wait_events(ep, QUIET_MS).n, 0);
    CHECK_EQ(GREW(samples), 0);
    CHECK_EQ(GREW(sleeps), 1);
    CHECK_EQ(GREW(empty_wakeups), 0);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

static void threads_that_wake_each_other(void)
{
    int ep = new_epoll(), fd[2], bell = OK(eventfd(0, 0));
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 1);
    struct waiter first = {0}, second = {0};
    start_waiter(&first, ep);
    start_waiter(&second, ep);
    /* The first waiter was woken to let the second one poll, and now sleeps behind it. */
    wait_until_blocked(first.thread.tid);
    struct epolyfill_stats before = stats_of(ep);
    CHECK_EQ(before.waiters, 2);
    CHECK_EQ(before.waits, 2);
    CHECK_EQ(before.handoffs, 0);

    /* A registration that is not ready. */
    ADD(ep, bell, EPOLLIN, 2);
    UNTIL(GREW(empty_wakeups) == 1);
    CHECK_EQ(GREW(kicks), 1);
    CHECK_EQ(GREW(handoffs), 0);
    CHECK_EQ(GREW(events), 0);

    /* Two events, one for each waiter. */
    add_one(bell);
    write_bytes(fd[1], 1);
    CHECK(join_waiter(&first) > 0);
    CHECK(join_waiter(&second) > 0);
    CHECK_EQ(GREW(handoffs), 1);
    CHECK(GREW(kicks) <= 2);
    CHECK_EQ(stats_of(ep).waiters, 0);
    OK(close(bell));
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

static void handler(int signal)
{
    (void)signal;
}

static void waits_that_signals_end(void)
{
    int ep = new_epoll();
    struct sigaction action = {.sa_handler = handler};
    OK(sigaction(SIGUSR1, &action, NULL));
    struct waiter waiter = {0};
    start_waiter(&waiter, ep);
    CHECK_EQ(stats_of(ep).interrupted, 0);
    PT(pthread_kill(waiter.thread.id, SIGUSR1));
    CHECK_EQ(join_waiter(&waiter), -1);
    CHECK_EQ(waiter.error, EINTR);
    CHECK_EQ(stats_of(ep).interrupted, 1);
    CHECK_EQ(stats_of(ep).timeouts, 0);
    CHECK_EQ(stats_of(ep).empty_wakeups, 0);
    OK(close(ep));
}

static void polls_and_what_they_scan(void)
{
    enum { N = 40 };
    int ep = new_epoll(), fd[N][2];
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], EPOLLIN, (uint64_t)i);
    }
    write_bytes(fd[0][1], 1);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    CHECK_EQ(stats_of(ep).polls, 10);
    CHECK_EQ(stats_of(ep).scanned, 10 * N);
    for (int i = 0; i < N; i++) {
        OK(close(fd[i][0]));
        OK(close(fd[i][1]));
    }
    CHECK_EQ(stats_of(ep).closed, N);
    OK(close(ep));
}

static void registrations_that_are_silent_for_long(void)
{
    enum { N = 300 };
    static int fd[N][2];
    raise_descriptor_limit();
    int ep = new_epoll();
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], EPOLLIN, (uint64_t)i);
    }
    write_bytes(fd[0][1], 1);
    for (int i = 0; i < 5000 && stats_of(ep).parked == 0; i++)
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    struct epolyfill_stats stats = stats_of(ep);
    CHECK(stats.parked > 0);
    CHECK_EQ(stats.parks, stats.parked);
    CHECK_EQ(stats.unparks, 0);
    for (int i = 1; i < N; i++)
        write_bytes(fd[i][1], 1);
    UNTIL(stats_of(ep).unparks == stats.parks);
    CHECK_EQ(stats_of(ep).parked, 0);
    for (int i = 0; i < N; i++) {
        OK(close(fd[i][0]));
        OK(close(fd[i][1]));
    }
    CHECK_EQ(stats_of(ep).parked, 0);
    OK(close(ep));
}

void test(void)
{
    an_instance_starts_at_nothing();
    control_calls_and_closes();
    a_close_that_nobody_saw();
    waits_that_find_nothing();
    a_level_that_lasts();
    edges_by_how_they_were_found();
    what_cannot_be_counted_is_doubted();
    unread_edges_cost_looks();
    polls_and_what_they_scan();
    registrations_that_are_silent_for_long();
    threads_that_wake_each_other();
    waits_that_signals_end();
}

/* A callback can be replaced and removed at any time: during calls of the next one, while a thread
 * is about to dispatch, after the library's thread was told to end, in a forked child. Its thread
 * stays asleep when all watched descriptors are closed. */
#include "stats.h"

static int ep, bell[2];
static atomic_int inside[2], calls, set_again;
static pthread_t last;

static void watch(int n)
{
    ep = OK(epolyfill_create1(0));
    for (int i = 0; i < n; i++) {
        bell[i] = OK(eventfd(0, EFD_NONBLOCK));
        struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = bell[i]};
        OK(epolyfill_ctl(ep, EPOLL_CTL_ADD, bell[i], &event));
    }
}

static void ring_again(int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};
    add_one(fd);
    OK(epolyfill_ctl(ep, EPOLL_CTL_MOD, fd, &event));
}

static void unwatch(int n)
{
    OK(epolyfill_set_callback(ep, NULL, NULL));
    OK(epolyfill_close(ep));
    for (int i = 0; i < n; i++)
        OK(epolyfill_close(bell[i]));
}

/* The call of the first callback lasts until the second one is called, whose call lasts until the
 * replacement is done. */
static void first(const struct epoll_event *events, int n, void *user)
{
    (void)events, (void)n, (void)user;
    atomic_store(&inside[0], 1);
    pause_ms(20);
    add_one(bell[1]);
    UNTIL(inside[1]);
    atomic_store(&inside[0], 0);
}

static void second(const struct epoll_event *events, int n, void *user)
{
    (void)events, (void)n, (void)user;
    atomic_store(&inside[1], 1);
    UNTIL(set_again);
    atomic_store(&inside[1], 0);
}

static void *dispatch_once(void *unused)
{
    (void)unused;
    CHECK_EQ(epolyfill_dispatch(ep, BOUND_MS), 1);
    return NULL;
}

static void replacement_waits_for_the_earlier_one_only(void)
{
    struct thread thread;
    watch(2);
    OK(epolyfill_set_callback(ep, first, NULL));
    start_thread(&thread, dispatch_once, NULL);
    pause_ms(20);
    add_one(bell[0]);
    UNTIL(inside[0]);
    OK(epolyfill_set_callback(ep, second, NULL));
    CHECK_EQ(inside[0], 0);
    CHECK_EQ(inside[1], 1);
    atomic_store(&set_again, 1);
    join_thread(&thread);
    unwatch(2);
}

static void lasts(const struct epoll_event *events, int n, void *user)
{
    (void)events, (void)n, (void)user;
    last = pthread_self();
    atomic_store(&inside[0], 1);
    pause_ms(100);
    atomic_store(&inside[0], 0);
    atomic_fetch_add(&calls, 1);
}

static void *dispatch_nothing(void *unused)
{
    (void)unused;
    CHECK_EQ(epolyfill_dispatch(ep, 0), 0);
    return NULL;
}

/* The thread in epolyfill_dispatch waits for the library's thread to end, which a new callback
 * keeps alive. */
static void dispatch_goes_on_when_the_callback_is_set_anew(void)
{
    struct thread thread;
    watch(1);
    OK(epolyfill_set_callback(ep, lasts, NULL));
    add_one(bell[0]);
    UNTIL(inside[0]);
    start_thread(&thread, dispatch_nothing, NULL);
    pause_ms(20);
    OK(epolyfill_set_callback(ep, lasts, NULL));
    join_thread(&thread);
    calls = 0;
    ring_again(bell[0]);
    UNTIL(calls == 1);
    unwatch(1);
}

static void its_thread_is_not_to_be_cancelled(void)
{
    watch(1);
    calls = 0;
    OK(epolyfill_set_callback(ep, lasts, NULL));
    add_one(bell[0]);
    UNTIL(calls == 1);
    PT(pthread_cancel(last));
    ring_again(bell[0]);
    UNTIL(calls == 2);
    unwatch(1);
}

static void a_child_is_rid_of_it(void)
{
    enum { N = 20 };
    int own[N];
    watch(1);
    for (int i = 0; i < N; i++) {
        own[i] = OK(epolyfill_create1(0));
        OK(epolyfill_set_callback(own[i], lasts, NULL));
        UNTIL(stats_of(own[i]).waiters == 1);
    }
    pid_t child = OK(fork());
    if (child == 0) {
        int before = open_descriptors();
        for (int i = 0; i < N; i++)
            OK(epolyfill_close(own[i]));
        /* The read end and the write end of its pipe. */
        CHECK_EQ(before - open_descriptors(), 2 * N);
        _exit(0);
    }
    expect_exit_0(child);
    for (int i = 0; i < N; i++)
        OK(epolyfill_close(own[i]));
    unwatch(1);
}

/* The library's thread sleeps until it is told to end. */
static void it_rests_when_all_is_closed(void)
{
    watch(1);
    int pipe_ends[2];
    make_pipe(pipe_ends);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = pipe_ends[0]};
    OK(epolyfill_ctl(ep, EPOLL_CTL_ADD, pipe_ends[0], &event));
    calls = 0;
    OK(epolyfill_set_callback(ep, lasts, NULL));
    write_bytes(pipe_ends[1], 1);
    UNTIL(calls == 1);
    OK(epolyfill_close(pipe_ends[0]));
    CHECK_ERRNO(write(pipe_ends[1], "", 1), EPIPE);
    OK(epolyfill_close(bell[0]));
    OK(epolyfill_close(pipe_ends[1]));
    pause_ms(QUIET_MS);
    struct epolyfill_stats before = stats_of(ep);
    CHECK_EQ(before.waiters, 1);
    CHECK_EQ(before.registrations, 0);
    pause_ms(2 * QUIET_MS);
    CHECK_EQ(GREW(sleeps) + GREW(polls), 0);
    unwatch(0);
}

void test(void)
{
    signal(SIGPIPE, SIG_IGN);
    it_rests_when_all_is_closed();
    replacement_waits_for_the_earlier_one_only();
    dispatch_goes_on_when_the_callback_is_set_anew();
    its_thread_is_not_to_be_cancelled();
    a_child_is_rid_of_it();
}

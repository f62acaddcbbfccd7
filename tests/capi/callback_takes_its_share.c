/* A callback is called for each event according to its registration, beside waiting threads, until
 * it is replaced or removed, or its instance is closed. */
#include "capi.h"

#include <sched.h>

struct seen {
    int ep;
    atomic_int calls, events, inside, most_inside;
    atomic_uint_fast64_t last;
    int bell;       /* read on each call if not 0 */
    int pause;      /* duration of a call in ms */
    bool removes;   /* the callback removes itself */
    bool closes;    /* the callback closes its instance */
    _Atomic pthread_t thread;
};

static void note(const struct epoll_event *events, int n, void *user)
{
    struct seen *seen = user;
    int inside = atomic_fetch_add(&seen->inside, 1) + 1;
    if (inside > atomic_load(&seen->most_inside))
        atomic_store(&seen->most_inside, inside);
    CHECK(n > 0 && n <= 64);
    atomic_store(&seen->thread, pthread_self());
    if (seen->bell) {
        uint64_t count;
        CHECK_EQ(read(seen->bell, &count, sizeof count), (ssize_t)sizeof count);
    }
    if (seen->removes)
        OK(epolyfill_set_callback(seen->ep, NULL, NULL));
    if (seen->closes)
        OK(close(seen->ep));
    pause_ms(seen->pause);
    atomic_store(&seen->last, events[n - 1].data.u64);
    atomic_fetch_add(&seen->events, n);
    atomic_fetch_add(&seen->calls, 1);
    atomic_fetch_sub(&seen->inside, 1);
}

static void each_trigger_as_registered(void)
{
    struct seen seen = {0};
    int ep = new_epoll(), level = OK(eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE)), edge = OK(eventfd(0, EFD_NONBLOCK)), once = OK(eventfd(0, EFD_NONBLOCK));
    OK(epolyfill_set_callback(ep, note, &seen));
    ADD(ep, edge, EPOLLIN | EPOLLET, 1);
    ADD(ep, once, EPOLLIN | EPOLLONESHOT, 2);
    pause_ms(QUIET_MS);
    CHECK_EQ(seen.calls, 0);
    add_one(edge);
    UNTIL(seen.events == 1);
    CHECK_EQ(seen.last, 1);
    CHECK(!pthread_equal(seen.thread, pthread_self()));
    add_one(edge);
    UNTIL(seen.events == 2);
    add_one(once);
    UNTIL(seen.events == 3);
    add_one(once);
    pause_ms(QUIET_MS);
    CHECK_EQ(seen.events, 3);
    MOD(ep, once, EPOLLIN | EPOLLONESHOT, 3);
    UNTIL(seen.events == 4);
    CHECK_EQ(seen.last, 3);
    DEL(ep, edge);
    DEL(ep, once);
    /* Level-triggered: it is called again while data is left. */
    OK(epolyfill_set_callback(ep, NULL, NULL));
    struct seen other = {.bell = level};
    for (int i = 0; i < 5; i++)
        add_one(level);
    ADD(ep, level, EPOLLIN, 4);
    OK(epolyfill_set_callback(ep, note, &other));
    UNTIL(other.events == 5);
    pause_ms(QUIET_MS);
    CHECK_EQ(other.calls, 5);
    CHECK_EQ(seen.events, 4);
    OK(epolyfill_set_callback(ep, NULL, NULL));
    OK(close(ep));
    OK(close(level));
    OK(close(edge));
    OK(close(once));
}

/* Each of many reports goes either to the callback or to a wait, never to both: a one-shot
 * registration is re-armed when its report has been seen. */
static void waits_take_other_events(void)
{
    struct seen seen = {0};
    int ep = new_epoll(), bell = OK(eventfd(1, EFD_NONBLOCK)), waited = 0;
    OK(epolyfill_set_callback(ep, note, &seen));
    ADD(ep, bell, EPOLLIN | EPOLLONESHOT, 1);
    for (int armed = 1; armed <= 2000; armed++) {
        int64_t until = now_ns() + BOUND_MS * 1000000ll;
        while (seen.events + waited < armed) {
            struct epoll_event event;
            waited += OK(epoll_wait(ep, &event, 1, 0));
            CHECK(now_ns() < until);
        }
        CHECK_EQ(seen.events + waited, armed);
        MOD(ep, bell, armed < 2000 ? EPOLLIN | EPOLLONESHOT : 0, 1);
    }
    OK(epolyfill_set_callback(ep, NULL, NULL));
    CHECK_EQ(seen.events + waited, 2000);
    OK(close(ep));
    OK(close(bell));
}

/* When a removal returns, no call of the callback is running, and none follows. The same holds for
 * a replaced callback. */
static void removal_is_final(void)
{
    int ep = new_epoll(), bell = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 30; i++) {
        struct seen first = {.pause = i % 3}, second = {0};
        OK(epolyfill_set_callback(ep, note, &first));
        add_one(bell);
        if (i % 2)
            UNTIL(first.inside + first.calls > 0);
        OK(epolyfill_set_callback(ep, i % 5 ? NULL : note, &second));
        CHECK_EQ(first.inside, 0);
        int calls = first.calls;
        add_one(bell);
        if (i % 5 == 0)
            UNTIL(second.calls > 0);
        else
            EXPECT_ONE(ep, 1, EPOLLIN);
        OK(epolyfill_set_callback(ep, NULL, NULL));
        CHECK_EQ(first.calls, calls);
    }
    OK(close(ep));
    OK(close(bell));
}

static void callback_may_remove_itself_or_close(void)
{
    int ep = new_epoll(), bell = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    struct seen removing = {.ep = ep, .removes = true};
    OK(epolyfill_set_callback(ep, note, &removing));
    add_one(bell);
    UNTIL(removing.calls == 1 && removing.inside == 0);
    pause_ms(5);
    add_one(bell);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(removing.calls, 1);
    struct seen closing = {.ep = ep, .closes = true};
    OK(epolyfill_set_callback(ep, note, &closing));
    add_one(bell);
    UNTIL(closing.calls == 1 && closing.inside == 0);
    CHECK_ERRNO(epolyfill_dispatch(ep, 0), EBADF);
    OK(close(bell));
}

static void own_threads(void)
{
    int ep = new_epoll(), bell = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    CHECK_ERRNO(epolyfill_dispatch(ep, 0), EINVAL);
    struct seen seen = {0};
    OK(epolyfill_set_callback(ep, note, &seen));
    CHECK_EQ(epolyfill_dispatch(ep, 0), 0);
    add_one(bell);
    pause_ms(5);
    CHECK_EQ(seen.calls, 0);
    CHECK_EQ(epolyfill_dispatch(ep, BOUND_MS), 1);
    CHECK_EQ(seen.calls, 1);
    CHECK(pthread_equal(seen.thread, pthread_self()));
    int64_t start = now_ns();
    CHECK_EQ(epolyfill_dispatch(ep, 20), 0);
    CHECK(now_ns() - start >= 20000000);
    CHECK_ERRNO(epolyfill_dispatch(bell, 0), EINVAL);
    CHECK_ERRNO(epolyfill_set_callback(bell, note, &seen), EINVAL);
    CHECK_ERRNO(epolyfill_set_callback(-1, note, &seen), EBADF);
    /* A new callback gets a thread again. */
    OK(epolyfill_set_callback(ep, note, &seen));
    add_one(bell);
    UNTIL(seen.calls == 2);
    /* A forked child has the registrations, but not the callback. */
    pid_t child = OK(fork());
    if (child == 0) {
        CHECK_ERRNO(epolyfill_dispatch(ep, 0), EINVAL);
        add_one(bell);
        EXPECT_ONE(ep, 1, EPOLLIN);
        _exit(0);
    }
    expect_exit_0(child);
    OK(epolyfill_set_callback(ep, NULL, NULL));
    OK(close(ep));
    OK(close(bell));
}

static void *dispatches(void *arg)
{
    struct seen *seen = arg;
    int n;
    while ((n = epolyfill_dispatch(seen->ep, -1)) > 0)
        ;
    CHECK_EQ(n, -1);
    CHECK(errno == ECANCELED || errno == EINVAL);
    return arg;
}

/* When the callback is removed, dispatching threads return, and the events they had taken have been
 * handed over: every edge is reported, whichever thread dispatches, and however often the callback
 * is removed and set. */
static void no_edge_is_lost_over_removals(void)
{
    enum { BELLS = 8, ROUNDS = 60 };
    struct seen seen = {.ep = new_epoll()};
    int bell[BELLS];
    for (int i = 0; i < BELLS; i++) {
        bell[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(seen.ep, bell[i], EPOLLIN | EPOLLET | EPOLLONESHOT, (uint64_t)i);
    }
    int rung = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct thread threads[3];
        OK(epolyfill_set_callback(seen.ep, note, &seen));
        for (int i = 0; round % 2 && i < 3; i++)
            start_thread(&threads[i], dispatches, &seen);
        for (int i = 0; i < BELLS; i++) {
            add_one(bell[i]);
            rung++;
        }
        if (round % 3 == 0)
            sched_yield();
        OK(epolyfill_set_callback(seen.ep, NULL, NULL));
        CHECK_EQ(seen.inside, 0);
        for (int i = 0; round % 2 && i < 3; i++)
            join_thread(&threads[i]);
        int heard = seen.events;
        struct epoll_event event[BELLS];
        while (heard < rung) {
            int n = OK(epoll_wait(seen.ep, event, BELLS, BOUND_MS));
            CHECK(n > 0);
            heard += n;
        }
        CHECK_EQ(heard, rung);
        CHECK_EQ(epoll_wait(seen.ep, event, BELLS, 0), 0);
        seen.events = rung;
        for (int i = 0; i < BELLS; i++) {
            uint64_t count;
            OK(read(bell[i], &count, sizeof count));
            MOD(seen.ep, bell[i], EPOLLIN | EPOLLET | EPOLLONESHOT, (uint64_t)i);
        }
    }
    for (int i = 0; i < BELLS; i++)
        OK(close(bell[i]));
    OK(close(seen.ep));
}

/* When all watched descriptors and the instance are closed, no thread and no descriptor is left. */
static void nothing_stays(void)
{
    int before = open_descriptors();
    for (int i = 0; i < 50; i++) {
        struct seen seen = {0};
        int ep = new_epoll(), fd[2];
        make_pipe(fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        OK(epolyfill_set_callback(ep, note, &seen));
        write_bytes(fd[1], 1);
        UNTIL(seen.calls == 1);
        OK(close(fd[0]));
        CHECK_ERRNO(write(fd[1], "", 1), EPIPE);
        OK(close(fd[1]));
        if (i % 2)
            OK(epolyfill_set_callback(ep, NULL, NULL));
        OK(close(ep));
    }
    UNTIL(open_descriptors() <= before + 4);
}

void test(void)
{
    signal(SIGPIPE, SIG_IGN);
    each_trigger_as_registered();
    waits_take_other_events();
    removal_is_final();
    callback_may_remove_itself_or_close();
    own_threads();
    no_edge_is_lost_over_removals();
    nothing_stays();
}

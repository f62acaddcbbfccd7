/* Threads leave their waits by siglongjmp, by cancellation, or by ending right after one, at random
 * moments. The remaining threads still get every announcement, and in the end no state of the
 * others is left (W9, W10). */
#include "stress.h"

#include <setjmp.h>

#define LEAVERS 3
static int ep, bell, over, silent;
static atomic_long announced, heard, jumped;
static atomic_bool last_jump;
static int64_t end;
static _Thread_local sigjmp_buf out;
static _Thread_local atomic_int may_jump;

static void on_signal(int signal)
{
    (void)signal;
    if (atomic_exchange(&may_jump, 0)) {
        atomic_fetch_add(&jumped, 1);
        siglongjmp(out, 1);
    }
}

static void hear(void) { atomic_store(&heard, atomic_load(&announced)); }

static void *stays(void *arg)
{
    (void)arg;
    for (;;) {
        struct epoll_event at[4];
        int n = OK(epoll_wait(ep, at, 4, -1));
        for (int i = 0; i < n; i++)
            if (at[i].data.u64 == 9)
                return NULL;
        hear();
    }
}

static void *waits_once(void *arg)
{
    (void)arg;
    struct epoll_event at;
    int n = epoll_wait(ep, &at, 1, -1);
    CHECK(n == 1 || (n == -1 && errno == EINTR));
    if (n == 1)
        hear();
    return NULL;
}

/* Either cancelled in the wait, or finished before that: then the report was its own. */
static void *leaves(void *arg)
{
    uint64_t state = stress_seed((uintptr_t)arg);
    while (now_ns() < end) {
        pthread_t thread;
        void *result;
        PT(pthread_create(&thread, NULL, waits_once, NULL));
        for (unsigned turns = chance(&state, 40); turns > 0; turns--)
            sched_yield();
        PT(pthread_cancel(thread));
        PT(pthread_join(thread, &result));
        CHECK(result == PTHREAD_CANCELED || result == NULL);
    }
    return NULL;
}

/* Waits on an instance of its own, and checks after each forced exit that the other waiter and the
 * descriptor are as before. */
static void *jumps(void *arg)
{
    struct epoll_event at;
    (void)arg;
    if (sigsetjmp(out, 1) == 0)
        atomic_store(&jumped, 0);
    while (!atomic_load(&last_jump)) {
        atomic_store(&may_jump, 1);
        epoll_wait(silent, &at, 1, -1);
        die(__FILE__, __LINE__, "a silent instance reports");
    }
    return NULL;
}

static void shoot(struct thread *jumper)
{
    for (bool last = false; !last;) {
        wait_until_blocked(jumper->tid);
        last = now_ns() >= end;
        atomic_store(&last_jump, last);
        long before = atomic_load(&jumped);
        PT(pthread_kill(jumper->id, SIGUSR1));
        UNTIL(atomic_load(&jumped) > before);
    }
}

static void *announces(void *arg)
{
    (void)arg;
    while (now_ns() < end) {
        long mine = atomic_fetch_add(&announced, 1) + 1;
        add_one(bell);
        /* A thread may be cancelled after it took a report: then the next write is reported. */
        int64_t start = now_ns(), again = start + 2000000;
        for (; atomic_load(&heard) < mine; sched_yield()) {
            if (now_ns() > again) {
                add_one(bell);
                again = now_ns() + 2000000;
            }
            CHECK(now_ns() - start < BOUND_MS * 1000000ll);
        }
    }
    return NULL;
}

void test(void)
{
    struct thread stayer, leavers[LEAVERS], announcer, jumper;
    struct sigaction action = {.sa_handler = on_signal};
    OK(sigaction(SIGUSR1, &action, NULL));
    end = stress_end();
    ep = new_epoll();
    bell = OK(eventfd(0, EFD_NONBLOCK));
    over = OK(eventfd(0, 0));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    silent = new_epoll();
    ADD(silent, over, EPOLLIN, 9);
    start_thread(&stayer, stays, NULL);
    start_thread(&announcer, announces, NULL);
    start_thread(&jumper, jumps, NULL);
    for (uintptr_t i = 0; i < LEAVERS; i++)
        start_thread(&leavers[i], leaves, (void *)(i + 1));
    shoot(&jumper);
    PT(pthread_join(announcer.id, NULL));
    for (int i = 0; i < LEAVERS; i++)
        join_thread(&leavers[i]);
    join_thread(&jumper);
    ADD(ep, over, EPOLLIN, 9);
    add_one(over);
    EXPECT_ONE(silent, 9, EPOLLIN);
    join_thread(&stayer);
    DEL(ep, over);
    wait_events(ep, 0);
    EXPECT_NONE_NOW(ep);
}

/* An addition to an eventfd that is never read wakes a thread at once, though another thread is
 * held up in a signal handler in the middle of its own addition, and continues only later (E1,
 * E6). */
#include "harness.h"

#define ROUNDS 300
static int bell, ep;
static atomic_int published, seen, held, released, quiet;

static void on_signal(int signal)
{
    (void)signal;
    int error = errno, round = atomic_load(&held) + 1;
    atomic_store(&held, round);
    while (atomic_load(&released) < round)
        sched_yield();
    errno = error;
}

static void *waits(void *arg)
{
    (void)arg;
    while (atomic_load(&seen) < 2 * ROUNDS) {
        EXPECT_ONE(ep, 1, EPOLLIN);
        atomic_store(&seen, atomic_load(&published));
    }
    return NULL;
}

/* Adds until it is held up, and then stops until the round is over. */
static void *adds(void *arg)
{
    (void)arg;
    for (int round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&held) < round)
            add_one(bell);
        UNTIL(atomic_load(&quiet) >= round);
    }
    return NULL;
}

static void publish(void)
{
    atomic_fetch_add(&published, 1);
    add_one(bell);
}

static bool is_seen_within(int64_t ns)
{
    for (int64_t start = now_ns(); atomic_load(&seen) < atomic_load(&published); sched_yield())
        if (now_ns() - start > ns)
            return false;
    return true;
}

void test(void)
{
    struct thread waiter, adder;
    signal(SIGUSR1, on_signal);
    bell = OK(eventfd(0, EFD_NONBLOCK));
    ep = new_epoll();
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    start_thread(&waiter, waits, NULL);
    start_thread(&adder, adds, NULL);
    for (int round = 1; round <= ROUNDS; round++) {
        int64_t start = now_ns();
        PT(pthread_kill(adder.id, SIGUSR1));
        for (; atomic_load(&held) < round; sched_yield())
            CHECK(now_ns() - start < BOUND_MS * 1000000ll);
        for (int i = 0; i < 2; i++) {
            publish();
            CHECK(is_seen_within(BOUND_MS * 1000000ll));
        }
        atomic_store(&released, round);
        atomic_store(&quiet, round);
    }
    join_thread(&adder);
    join_thread(&waiter);
}

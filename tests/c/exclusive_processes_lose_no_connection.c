/* Of processes with exclusive registrations, some are stopped in their wait, are busy outside of it
 * or are killed: every connection is accepted by another one (X1). */
#include "exclusive_processes.h"

#define CONNECTIONS 400

static void connect_once(struct herd *herd) { expect_answer(tcp_client_of(herd->listener)); }

/* A process that sleeps in its wait is stopped, and would be the next to be woken by one of the
 * connections. */
static void with_a_stopped_one(struct herd *herd, int i)
{
    wait_until_herd_is_blocked(herd);
    OK(kill(herd->pids[i], SIGSTOP));
    CHECK_EQ(OK(waitpid(herd->pids[i], NULL, WUNTRACED)), herd->pids[i]);
    for (int turn = 0; turn < HERD; turn++)
        connect_once(herd);
    OK(kill(herd->pids[i], SIGCONT));
    CHECK_EQ(OK(waitpid(herd->pids[i], NULL, WCONTINUED)), herd->pids[i]);
}

/* The process that was woken has not accepted yet: the next connection wakes another one. */
static void with_a_slow_one(struct herd *herd)
{
    wait_until_herd_is_blocked(herd);
    int before = atomic_load(&herd->wakes);
    atomic_store(&herd->hold, true);
    int first = tcp_client_of(herd->listener);
    UNTIL(atomic_load(&herd->wakes) > before);
    int second = tcp_client_of(herd->listener);
    UNTIL(atomic_load(&herd->wakes) > before + 1);
    atomic_store(&herd->hold, false);
    expect_answer(first);
    expect_answer(second);
}

/* A process that something else woke is busy: others, which wait, accept connections at once. */
static void with_a_busy_one(struct herd *herd, int i)
{
    int attempt = 0;
    int64_t spent;
    do {
        wait_until_herd_is_blocked(herd);
        atomic_store(&herd->is_to_be_busy[i], true);
        write_bytes(herd->aside[i], 1);
        UNTIL(atomic_load(&herd->is_busy[i]));
        spent = 0;
        for (int turn = 0; turn < HERD; turn++) {
            for (int other = (i + 1) % HERD; other != i; other = (other + 1) % HERD)
                wait_until_blocked(herd->pids[other]);
            spent -= now_ns();
            connect_once(herd);
            spent += now_ns();
        }
        atomic_store(&herd->is_to_be_busy[i], false);
    } while (!TOOK_LESS(attempt++, now_ns() - spent, 200));
}

void test(void)
{
    struct herd *herd = start_herd();
    for (int i = 0; i < CONNECTIONS; i++)
        connect_once(herd);
    with_a_stopped_one(herd, 0);
    for (int i = 0; i < HERD; i++) {
        with_a_slow_one(herd);
        with_a_busy_one(herd, i);
        int client = tcp_client_of(herd->listener);
        end_one(herd, i);
        start_one(herd, i);
        connect_once(herd);
        expect_answer(client);
    }
    stop_herd(herd);
}

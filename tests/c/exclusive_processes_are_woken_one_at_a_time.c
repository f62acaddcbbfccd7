/* When processes with exclusive registrations wait, a connection wakes exactly one of them (X1),
 * also while that one has not accepted it yet. */
#include "exclusive_processes.h"

/* With a ring, a process that has slept for a second looks at the listener. */
#define MOST_MS 700

static bool round_is_over(int attempt)
{
    int64_t since = now_ns();
    struct herd *herd = start_herd();
    atomic_store(&herd->hold, true);
    int client = tcp_client_of(herd->listener);
    UNTIL(atomic_load(&herd->wakes) > 0);
    pause_ms(QUIET_MS);
    int wakes = atomic_load(&herd->wakes);
    bool is_valid = now_ns() - since < MOST_MS * 1000000ll;
    atomic_store(&herd->hold, false);
    expect_answer(client);
    stop_herd(herd);
    if (is_valid || attempt == 20)
        CHECK_EQ(wakes, 1);
    return is_valid;
}

void test(void)
{
    for (int rounds = 0; rounds < 5; rounds++)
        for (int attempt = 1; !round_is_over(attempt); attempt++)
            continue;
}

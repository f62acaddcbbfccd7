/* Where the kernel has no eventfd, or refuses it, threads sleep in waits and are woken as anywhere
 * else (T6, W9). */
#include "faults.h"

#include <sys/resource.h>

#define THREADS 8

static long sleeps(void)
{
    struct rusage usage;
    OK(getrusage(RUSAGE_SELF, &usage));
    return usage.ru_nvcsw;
}

static void threads_sleep_and_are_woken(int error)
{
    refuse_call(SYS_eventfd2, error);
    struct waiter waiters[THREADS];
    int silent[2], ready[2], ep = new_epoll();
    make_pipe(silent);
    make_pipe(ready);
    ADD(ep, silent[0], EPOLLIN, 1);
    for (int i = 0; i < THREADS; i++)
        start_waiter(&waiters[i], ep);
    /* Looks every 50 ms would be 80. */
    long before = sleeps();
    pause_ms(500);
    CHECK(sleeps() - before < 40);

    /* The newest one hears of the registration; the others, one after another, of the level that is
     * left. */
    write_bytes(ready[1], 1);
    ADD(ep, ready[0], EPOLLIN, 2);
    for (int i = THREADS - 1; i >= 0; i--) {
        CHECK_EQ(join_waiter(&waiters[i]), 1);
        CHECK_EQ(waiters[i].at[0].data.u64, 2);
    }
}

void test(void)
{
    int errors[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            threads_sleep_and_are_woken(errors[i]);
            _exit(0);
        }
        expect_exit_0(child);
    }
}

/* A handler that ran ends the wait with EINTR, with or without SA_RESTART and a timeout, in each of
 * the calls (W8). */
#include "harness.h"

static atomic_int handled;
static void on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, 0)), runs = 0;
    ADD(ep, fd, EPOLLIN, 1);
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};
        OK(sigaction(SIGUSR1, &action, NULL));
        for (enum call call = WAIT; call <= PWAIT2; call++)
            for (int timeout = 0; timeout < 2; timeout++) {
                struct waiter waiter;
                start_waiter_by(&waiter, call, ep, timeout ? 60000 : -1, NULL);
                PT(pthread_kill(waiter.thread.id, SIGUSR1));
                CHECK_ERRNO(join_waiter(&waiter), EINTR);
                CHECK_EQ(handled, ++runs);
            }
    }

    /* The signal interrupts the oldest of several waiters on one instance, and no other. */
    struct waiter old, new;
    start_waiter(&old, ep);
    start_waiter(&new, ep);
    PT(pthread_kill(old.thread.id, SIGUSR1));
    CHECK_ERRNO(join_waiter(&old), EINTR);
    CHECK(!atomic_load(&new.done));
    add_one(fd);
    CHECK_EQ(join_waiter(&new), 1);
}

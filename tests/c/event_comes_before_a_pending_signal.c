/* If an item is ready, the wait reports it although a signal that its mask unblocks is pending; the
 * signal's handler runs, too (W8). */
#include "harness.h"

static atomic_int handled;
static void on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    OK(sigaction(SIGUSR1, &action, NULL));
    sigset_t blocked, open;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
    int ep = new_epoll(), fd = OK(eventfd(1, 0));
    struct epoll_event at;
    ADD(ep, fd, EPOLLIN, 1);
    OK(raise(SIGUSR1));

    /* The signal stays pending, because a report is a success. */
    CHECK_EQ(epoll_pwait(ep, &at, 1, -1, &open), 1);
    DEL(ep, fd);
    if (handled == 0)
        CHECK_ERRNO(epoll_pwait(ep, &at, 1, -1, &open), EINTR);
    CHECK_EQ(handled, 1);
}

/* A blocked, pending signal that only the mask of the wait unblocks ends the wait with EINTR at
 * once (W8). */
#include "harness.h"

static atomic_int handled;
static void on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    sigset_t blocked, open, now;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
    int ep = new_epoll(), fd = OK(eventfd(0, 0));
    struct epoll_event at;
    ADD(ep, fd, EPOLLIN, 1);
    for (int i = 1; i <= 10; i++) {
        enum call call = i % 2 ? PWAIT : PWAIT2;
        OK(raise(SIGUSR1));
        CHECK_EQ(handled, i - 1);

        /* It stays pending without a mask, and with a mask that blocks it. */
        CHECK_EQ(wait_by(call, ep, &at, 1, 1, NULL), 0);
        CHECK_EQ(wait_by(call, ep, &at, 1, 1, &blocked), 0);
        CHECK_EQ(handled, i - 1);
        CHECK_ERRNO(wait_by(call, ep, &at, 1, -1, &open), EINTR);
        CHECK_EQ(handled, i);

        /* The mask of the thread is what it was. */
        PT(pthread_sigmask(SIG_SETMASK, NULL, &now));
        CHECK(sigismember(&now, SIGUSR1));
        CHECK_EQ(wait_by(call, ep, &at, 1, 1, &open), 0);
    }
}

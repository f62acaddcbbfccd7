/* A mask that blocks a signal keeps it out of the wait; it is delivered when the wait is over
 * (W8). */
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
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    int ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 1; i <= 10; i++) {
        struct waiter waiter;
        start_waiter_by(&waiter, i % 2 ? PWAIT : PWAIT2, ep, -1, &blocked);
        PT(pthread_kill(waiter.thread.id, SIGUSR1));
        pause_ms(5);
        wait_until_blocked(waiter.thread.tid);
        CHECK_EQ(handled, i - 1);
        add_one(fd);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(handled, i);
    }
}

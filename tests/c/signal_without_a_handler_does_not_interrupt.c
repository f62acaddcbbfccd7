/* A signal that is ignored, explicitly or by default, ends no wait (W8). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, 0));
    ADD(ep, fd, EPOLLIN, 1);
    signal(SIGUSR1, SIG_IGN);
    for (enum call call = WAIT; call <= PWAIT2; call++) {
        struct waiter waiter;
        start_waiter_by(&waiter, call, ep, -1, NULL);
        PT(pthread_kill(waiter.thread.id, SIGUSR1));
        PT(pthread_kill(waiter.thread.id, SIGCHLD));
        PT(pthread_kill(waiter.thread.id, SIGWINCH));
        pause_ms(20);
        wait_until_blocked(waiter.thread.tid);
        add_one(fd);
        CHECK_EQ(join_waiter(&waiter), 1);
        uint64_t value;
        CHECK_EQ(read(fd, &value, 8), 8);
    }
}

/* Every negative timeout waits without limit, not only -1 (W2). */
#include "harness.h"

void test(void)
{
    int timeouts[] = {-1, -2, -1000, -0x80000000};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++)
        for (enum call call = WAIT; call <= PWAIT; call++) {
            int ep = new_epoll(), fd = OK(eventfd(0, 0));
            ADD(ep, fd, EPOLLIN, 1);
            struct waiter waiter;
            start_waiter_by(&waiter, call, ep, timeouts[i], NULL);
            pause_ms(20);
            wait_until_blocked(waiter.thread.tid);
            add_one(fd);
            CHECK_EQ(join_waiter(&waiter), 1);
            OK(close(fd));
            OK(close(ep));
        }
}

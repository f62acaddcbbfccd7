/* An edge wakes one thread, and no other thread returns from its wait even for a moment (W9). */
#include "harness.h"

#define THREADS 4

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    struct waiter waiters[THREADS];
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < THREADS; i++)
        start_waiter(&waiters[i], ep);
    for (int left = THREADS; left > 0; left--) {
        add_one(fd);
        UNTIL(atomic_load(&waiters[left - 1].done));
        CHECK_EQ(join_waiter(&waiters[left - 1]), 1);
        pause_ms(20);
        for (int i = 0; i < left - 1; i++)
            CHECK(!atomic_load(&waiters[i].done));
    }
}

/* timerfd_settime() on an expired, unread timer clears the level; each new expiration is an edge
 * (E1, E5). */
#include "harness.h"

static void set(int timer, long ns, int flags)
{
    struct itimerspec once = {.it_value = {ns / 1000000000, ns % 1000000000}};
    OK(timerfd_settime(timer, flags, &once, NULL));
}

void test(void)
{
    int ep = new_epoll(), timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    ADD(ep, timer, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 4; i++) {
        set(timer, 2000000, 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }

    /* Set by another thread while one sleeps; with an absolute time; and later than before. */
    for (int i = 0; i < 4; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        if (i % 2)
            set(timer, now_ns() + 1000000, TFD_TIMER_ABSTIME);
        else
            set(timer, 1, 0);
        CHECK_EQ(join_waiter(&waiter), 1);
    }

    /* Disarmed: silence. */
    set(timer, 0, 0);
    EXPECT_NONE(ep);
}

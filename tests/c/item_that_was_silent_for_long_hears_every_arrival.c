/* Each arrival on an item that was silent for long beside a busy one is reported: a first one, one
 * on an eventfd that is never read, one that comes while a thread sleeps (E1, E6). */
#include "harness.h"

#define ITEMS 300

static void keep_busy(int ep, int busy)
{
    MOD(ep, busy, EPOLLIN, 999);
    for (int i = 0; i < 3000; i++)
        EXPECT_ONE(ep, 999, EPOLLIN);
    MOD(ep, busy, 0, 999);
}

void test(void)
{
    int ep = new_epoll(), busy = OK(eventfd(1, 0)), fd[ITEMS];
    ADD(ep, busy, 0, 999);
    for (int i = 0; i < ITEMS; i++) {
        fd[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, fd[i], EPOLLIN | EPOLLET, i);
    }
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < ITEMS; i += 97) {
            keep_busy(ep, busy);
            add_one(fd[i]);
            EXPECT_ONE(ep, i, EPOLLIN);
            EXPECT_NONE_NOW(ep);
            keep_busy(ep, busy);
            struct waiter waiter;
            start_waiter(&waiter, ep);
            add_one(fd[i]);
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].data.u64, i);
            EXPECT_NONE_NOW(ep);
        }
}

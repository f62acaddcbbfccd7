/* An arrival on top of unread ones wakes a thread that already sleeps (E1, W4). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        for (int i = 0; i < 4; i++) {
            struct waiter waiter;
            start_waiter(&waiter, ep);
            feed(&s);
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLIN);
        }
        OK(close(ep));
        discard(&s);
    }
}

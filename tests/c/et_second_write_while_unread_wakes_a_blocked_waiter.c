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
        for (int i = 0; i < 4; i++)
            expect_arrival_to_wake(&s, ep, feed);
        OK(close(ep));
        discard(&s);
    }
}

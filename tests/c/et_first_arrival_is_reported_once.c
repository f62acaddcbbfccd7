/* An edge-triggered item reports its first arrival once, whether the wait begins before or after it
 * (W4). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        for (int blocked = 0; blocked < 2; blocked++) {
            struct specimen s;
            make(&s, kind);
            int ep = new_epoll();
            ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
            EXPECT_NONE_NOW(ep);
            if (blocked) {
                struct waiter waiter;
                start_waiter(&waiter, ep);
                feed(&s);
                CHECK_EQ(join_waiter(&waiter), 1);
                CHECK_EQ(waiter.at[0].events, EPOLLIN);
            } else {
                feed(&s);
                EXPECT_ONE(ep, 1, EPOLLIN);
            }
            EXPECT_NO_EDGE_NOW(ep, kind);
            OK(close(ep));
            discard(&s);
        }
    }
}

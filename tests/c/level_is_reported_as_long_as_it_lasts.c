/* A level-triggered item is reported by every wait until the level falls, and again when it is back
 * (W3). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN, 1);
        EXPECT_NONE_NOW(ep);
        for (int round = 0; round < 3; round++) {
            feed(&s);
            for (int i = 0; i < 3; i++)
                EXPECT_ONE(ep, 1, EPOLLIN);
            drain(&s);
            EXPECT_NONE_NOW(ep);
        }
        EXPECT_NONE(ep);
        OK(close(ep));
        discard(&s);
    }
}

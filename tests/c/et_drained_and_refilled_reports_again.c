/* An arrival after a drain to EAGAIN is an edge, whether it has the same size as before or another
 * (W4, E1). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        for (int i = 0; i < 4; i++) {
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            drain(&s);
            EXPECT_NONE_NOW(ep);
        }

        /* Without a wait between the drain and the next arrival. */
        for (int i = 0; i < 4; i++) {
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            drain(&s);
        }
        EXPECT_NONE(ep);
        OK(close(ep));
        discard(&s);
    }
}

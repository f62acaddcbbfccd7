/* An arrival after a partial read is an edge, though the level never fell (E1, E2). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, PARTS, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        for (int i = 0; i < 4; i++) {
            take_part(&s);
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        OK(close(ep));
        discard(&s);
    }
}

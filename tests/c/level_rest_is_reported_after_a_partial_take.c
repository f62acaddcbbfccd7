/* A level-triggered item is still reported after a partial read (W3). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, PARTS, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN, 1);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        take_part(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        drain(&s);
        EXPECT_NONE_NOW(ep);
        OK(close(ep));
        discard(&s);
    }
}

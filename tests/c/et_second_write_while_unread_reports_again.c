/* Each arrival is an edge, also while older ones are unread (E1). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        for (int i = 0; i < 6; i++) {
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            EXPECT_NO_EDGE_NOW(ep, kind);
        }
        OK(close(ep));
        discard(&s);
    }
}

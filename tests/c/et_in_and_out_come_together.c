/* A report has all bits of the mask that are high at that time, not only the one that caused the
 * wake-up (W4). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, WRITES, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLOUT | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        EXPECT_NO_EDGE_NOW(ep, kind);
        OK(close(ep));
        discard(&s);
    }
}

/* What happens on one edge-triggered item is no edge for its unread neighbours (W4, E6). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll(), busy[2];
        make_pipe(busy);
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        ADD(ep, busy[0], EPOLLIN, 2);
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        for (int i = 0; i < 10; i++) {
            write_bytes(busy[1], 1);
            EXPECT_ONE(ep, 2, EPOLLIN);
            CHECK_EQ(read_all(busy[0]), 1);
            EXPECT_NONE_NOW(ep);
        }
        OK(close(busy[0]));
        OK(close(busy[1]));
        OK(close(ep));
        discard(&s);
    }
}

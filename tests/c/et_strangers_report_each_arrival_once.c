/* Sockets of rarer families, message queues, rings and similar files behave like any other: each
 * arrival is an edge, read or not, and nothing else is (E1). */
#include "strangers.h"

void test(void)
{
    struct stranger s;
    FOR_EACH_STRANGER(&s, sort)
    {
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        EXPECT_NONE(ep);

        /* Unread. */
        for (int i = 0; i < 3; i++) {
            sort->feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            EXPECT_NONE(ep);
        }

        /* Drained. */
        drain_stranger(&s, sort);
        EXPECT_NONE(ep);
        for (int i = 0; i < 3; i++) {
            sort->feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            drain_stranger(&s, sort);
        }

        /* Drained without EAGAIN. */
        for (int i = 0; i < 3; i++) {
            sort->feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            CHECK(sort->take(&s));
        }
        sort->feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        OK(close(ep));
        discard_stranger(&s);
    }
}

/* A read that returned less than its buffer drained the item: the next arrival is an edge, without
 * EAGAIN (E1). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        for (int i = 0; i < 5; i++) {
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            take_arrival(&s);
        }

        /* The arrival follows the read at once, before any wait. */
        for (int i = 0; i < 3; i++) {
            feed(&s);
            struct pollfd p = {.fd = s.fd, .events = POLLIN};
            CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
            take_arrival(&s);
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            take_arrival(&s);
            EXPECT_NONE_NOW(ep);
        }
        OK(close(ep));
        discard(&s);
    }
}

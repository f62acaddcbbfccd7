/* Between two waits one arrival is taken and another of the same size comes. The count of unread
 * bytes is unchanged, but the arrival is an edge (E1). */
#include "kinds.h"

static void take_and_feed(struct specimen *s)
{
    take_arrival(s);
    feed(s);
}

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
        for (int i = 0; i < 4; i++) {
            take_arrival(&s);
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
        }

        /* The same while a thread sleeps in the wait. */
        expect_arrival_to_wake(&s, ep, take_and_feed);
        OK(close(ep));
        discard(&s);
    }
}

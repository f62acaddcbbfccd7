/* A descriptor that is ready when it is added or modified is reported, level or edge, each time it
 * is modified (T6). */
#include "kinds.h"

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        feed(&s);
        struct pollfd p = {.fd = s.fd, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, BOUND_MS), 1);

        /* Ready before the ADD. */
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NO_EDGE_NOW(ep, kind);

        /* Unread and modified: with the same mask, with other data, to level and back. */
        for (int i = 0; i < 3; i++) {
            MOD(ep, s.fd, EPOLLIN | EPOLLET, 1);
            EXPECT_ONE(ep, 1, EPOLLIN);
            EXPECT_NO_EDGE_NOW(ep, kind);
        }
        MOD(ep, s.fd, EPOLLIN, 2);
        EXPECT_ONE(ep, 2, EPOLLIN);
        EXPECT_ONE(ep, 2, EPOLLIN);
        MOD(ep, s.fd, EPOLLIN | EPOLLET, 3);
        EXPECT_ONE(ep, 3, EPOLLIN);
        EXPECT_NO_EDGE_NOW(ep, kind);

        /* A mask that does not match the level drops the event; DEL and ADD report it again. */
        MOD(ep, s.fd, EPOLLPRI | EPOLLET, 4);
        EXPECT_NONE_NOW(ep);
        DEL(ep, s.fd);
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 5);
        EXPECT_ONE(ep, 5, EPOLLIN);

        /* Drained: a MOD reports nothing. */
        drain(&s);
        MOD(ep, s.fd, EPOLLIN | EPOLLET, 6);
        EXPECT_NONE_NOW(ep);
        OK(close(ep));
        discard(&s);
    }
}

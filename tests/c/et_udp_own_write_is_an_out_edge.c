/* A UDP datagram that has left its socket frees space there: an OUT edge for the writer (E6). */
#include "kinds.h"

void test(void)
{
    struct specimen s;
    make(&s, kind_named("udp"));
    int ep = new_epoll();
    ADD(ep, s.feeder, EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < 3; i++) {
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
}

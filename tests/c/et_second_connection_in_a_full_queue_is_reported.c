/* Each connection in an accept queue is an edge; accepting one of two is not, and neither is
 * emptying the queue (E1, E2). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), listener = tcp_listener();
    ADD(ep, listener, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        tcp_client_of(listener);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    OK(accept(listener, NULL, NULL));
    EXPECT_NONE(ep);

    /* One connection leaves and one arrives: the queue is as long as before. */
    OK(accept(listener, NULL, NULL));
    tcp_client_of(listener);
    EXPECT_ONE(ep, 1, EPOLLIN);

    /* The queue is emptied to EAGAIN, and a single connection is taken by a single accept. */
    OK(accept(listener, NULL, NULL));
    OK(accept(listener, NULL, NULL));
    CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
    for (int i = 0; i < 3; i++) {
        tcp_client_of(listener);
        EXPECT_ONE(ep, 1, EPOLLIN);
        OK(accept(listener, NULL, NULL));
    }
    EXPECT_NONE(ep);
}

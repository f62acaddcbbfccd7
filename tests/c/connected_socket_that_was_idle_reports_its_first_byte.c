/* A socket that is accepted from a listener in the same wait loop, and added while idle, reports
 * its first byte (E1). */
#include "harness.h"

void test(void)
{
    int listener = tcp_listener(), ep = new_epoll();
    ADD(ep, listener, EPOLLIN, 0);
    for (int i = 1; i <= 20; i++) {
        int client = tcp_client_of(listener);
        EXPECT_ONE(ep, 0, EPOLLIN);
        int served = OK(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
        ADD(ep, served, EPOLLIN | EPOLLRDHUP | EPOLLET, i);
        EXPECT_NONE_NOW(ep);
        write_bytes(client, 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(served), 1);
        OK(close(client));
        EXPECT_ONE(ep, i, EPOLLIN | EPOLLRDHUP);
        OK(close(served));
        EXPECT_NONE_NOW(ep);
    }
}

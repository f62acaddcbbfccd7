/* A partial read of an MPTCP connection is not an edge, and the end of the connection is one
 * (E2). */
#include "strangers.h"

void test(void)
{
    struct stranger s = {.fd = -1};
    char byte;
    make_mptcp(&s);
    if (s.fd < 0)
        exit(77);
    int ep = new_epoll();
    ADD(ep, s.fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        feed_by_write(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read(s.fd, &byte, 1), 1);
        EXPECT_NONE(ep);
    }
    while (take_by_read(&s))
        ;
    feed_by_write(&s);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(shutdown(s.feeder, SHUT_WR));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLRDHUP);
}

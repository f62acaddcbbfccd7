/* Reading one of two messages of a netlink socket is not an edge (E2). */
#include "strangers.h"

void test(void)
{
    struct stranger s = {.fd = -1};
    make_netlink(&s);
    if (s.fd < 0)
        exit(77);
    int ep = new_epoll();
    ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 2; i++) {
        feed_netlink(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    CHECK(take_by_read(&s));
    EXPECT_NONE(ep);
}

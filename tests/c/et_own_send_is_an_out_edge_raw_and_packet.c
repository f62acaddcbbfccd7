/* A datagram that leaves a raw or packet socket frees space in its send buffer, which is an OUT
 * edge; a netlink socket has no such buffer (E4). */
#include "strangers.h"

void test(void)
{
    struct stranger s;
    FOR_EACH_STRANGER(&s, sort)
    {
        bool is_netlink = strcmp(sort->name, "netlink") == 0;
        if (is_netlink || strcmp(sort->name, "raw") == 0 || strcmp(sort->name, "packet") == 0) {
            int ep = new_epoll();
            ADD(ep, s.feeder, EPOLLOUT | EPOLLET, 1);
            EXPECT_ONE(ep, 1, EPOLLOUT);
            for (int i = 0; i < 3; i++) {
                EXPECT_NONE(ep);
                sort->feed(&s);
                if (!is_netlink)
                    EXPECT_ONE(ep, 1, EPOLLOUT);
            }
            EXPECT_NONE(ep);
            OK(close(ep));
        }
        discard_stranger(&s);
    }
}

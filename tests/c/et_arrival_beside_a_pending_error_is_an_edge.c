/* A UDP socket with a pending error that is never collected still reports each datagram (E1, E3,
 * T5). */
#include "harness.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>

void test(void)
{
    struct sockaddr_in here, there;
    int fd = udp_socket(&here), peer = udp_socket(&there), ep = new_epoll();

    /* The timestamp of a sent datagram comes back in the error queue. */
    int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    OK(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    CHECK_EQ(sendto(fd, "x", 1, 0, (struct sockaddr *)&there, sizeof there), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    for (int i = 0; i < 6; i++) {
        struct waiter waiter;
        if (i % 2)
            start_waiter(&waiter, ep);
        CHECK_EQ(sendto(peer, "y", 1, 0, (struct sockaddr *)&here, sizeof here), 1);
        if (i % 2) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLIN | EPOLLERR);
        } else {
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLERR);
        }
        CHECK_EQ(read_all(fd), 1);
        EXPECT_NONE_NOW(ep);
    }
}

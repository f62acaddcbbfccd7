/* An empty datagram on a UDP socket is an edge (E1), even if the program peeked at it before the
 * wait; the kernel shows it to one peek only. */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    struct sockaddr_in address, other;
    int fd = udp_socket(&address), peer = udp_socket(&other), ep = new_epoll();
    char byte;
    OK(connect(peer, (struct sockaddr *)&address, sizeof address));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send(peer, "x", 1, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read(fd, &byte, 1), 1);
        CHECK_EQ(send(peer, "", 0, 0), 0);
        UNTIL(recv(fd, &byte, 1, MSG_PEEK) == 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(recv(fd, &byte, 1, 0), 0);
    }
}

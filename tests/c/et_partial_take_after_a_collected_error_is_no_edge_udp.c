/* A datagram socket was reported with a pending error. After the error was collected, taking one of
 * several datagrams is not an edge (E2). */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    struct sockaddr_in one, other;
    int fd = udp_socket(&one), peer = udp_socket(&other), error, ep = new_epoll();
    socklen_t size = sizeof error;
    OK(connect(fd, (struct sockaddr *)&other, sizeof other));
    OK(connect(peer, (struct sockaddr *)&one, sizeof one));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send(peer, "x", 1, 0), 1);
    OK(close(peer));
    CHECK_EQ(send(fd, "x", 1, 0), 1);
    struct pollfd entry = {.fd = fd};
    CHECK_EQ(poll(&entry, 1, BOUND_MS), 1);
    CHECK_EQ(entry.revents, POLLERR);

    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLERR);
    OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
    CHECK_EQ(error, ECONNREFUSED);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < 3; i++) {
        char byte;
        CHECK_EQ(read(fd, &byte, 1), 1);
        EXPECT_NONE_NOW(ep);
    }
}

/* A TCP listener that is shut down and then connected is a connection: each arrival on it is an
 * edge (E1, E3). */
#include "harness.h"
#include <netinet/in.h>

void test(void)
{
    int ep = new_epoll(), listener = tcp_listener(), fd = tcp_listener();
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    set_nonblocking(fd);
    ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < 2; i++) {
        OK(shutdown(fd, SHUT_RDWR));
        EXPECT_BITS(ep, 1, EPOLLOUT | EPOLLHUP);
        connect(fd, (struct sockaddr *)&to, size);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        int server = OK(accept(listener, NULL, NULL));
        for (int k = 0; k < 3; k++) {
            write_bytes(server, 5);
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        }
        CHECK_EQ(read_all(fd), 15);
        EXPECT_NONE(ep);
        OK(close(server));
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
        OK(connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof to));
        EXPECT_BITS(ep, 1, EPOLLOUT | EPOLLHUP | EPOLLERR);
        int error;
        socklen_t length = sizeof error;
        OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
        OK(listen(fd, 4));
    }
}

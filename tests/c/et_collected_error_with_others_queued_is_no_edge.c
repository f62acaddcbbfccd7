/* With IP_RECVERR a refused datagram leaves a pending error, which any call collects, and an entry
 * in the error queue, which stays. Collecting the error is not an edge. Taking one of several
 * entries from the queue is an edge, and so is the next refusal (E3). */
#include "harness.h"
#include <netinet/in.h>

static int take_error(int fd)
{
    char data[256], control[512];
    struct iovec part = {data, sizeof data};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    return (int)recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
}

void test(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int ep = new_epoll(), closed = udp_socket(&address), fd = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), on = 1, error;
    OK(close(closed));
    OK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
    OK(connect(fd, (struct sockaddr *)&address, size));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send(fd, "x", 1, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLERR);
        if (i == 0)
            CHECK_ERRNO(send(fd, "x", 1, 0), ECONNREFUSED);
        else if (i == 1)
            CHECK_ERRNO(recv(fd, &error, sizeof error, 0), ECONNREFUSED);
        else
            OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}));
        EXPECT_NONE(ep);
    }
    CHECK_EQ(take_error(fd), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    CHECK_EQ(take_error(fd), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    CHECK_EQ(take_error(fd), 1);
    CHECK_ERRNO(take_error(fd), EAGAIN);
    EXPECT_NONE(ep);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send(fd, "x", 1, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLERR);
        CHECK_EQ(take_error(fd), 1);
    }
    /* Switching the option off empties the queue. */
    CHECK_EQ(send(fd, "x", 1, 0), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    on = 0;
    OK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
    OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}));
    EXPECT_NONE(ep);
    CHECK_EQ(send(fd, "x", 1, 0), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
}

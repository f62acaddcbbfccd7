/* A splice that collects the error of the socket it would take from does nothing to the pipe. */
#include "harness.h"

#include <netinet/in.h>

static int bound(struct sockaddr_in *address)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof *address;
    int fd = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    OK(bind(fd, (struct sockaddr *)address, size));
    OK(getsockname(fd, (struct sockaddr *)address, &size));
    return fd;
}

void test(void)
{
    struct sockaddr_in one, other;
    int from = bound(&one), peer = bound(&other);
    OK(connect(from, (struct sockaddr *)&other, sizeof other));
    CHECK_EQ(sendto(peer, "unread", 6, 0, (struct sockaddr *)&one, sizeof one), 6);
    OK(close(peer));
    int to[2], ep = new_epoll();
    make_pipe(to);
    ADD(ep, to[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        struct pollfd entry = {.fd = from};
        CHECK_EQ(send(from, "x", 1, 0), 1);
        CHECK_EQ(poll(&entry, 1, BOUND_MS), 1);
        CHECK_ERRNO(splice(from, NULL, to[1], NULL, 10, SPLICE_F_NONBLOCK), ECONNREFUSED);
        EXPECT_NONE_NOW(ep);
    }
}

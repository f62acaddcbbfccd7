/* A splice that collects the error of its input socket does nothing to the pipe. */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    struct sockaddr_in one, other;
    int from = udp_socket(&one), peer = udp_socket(&other);
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

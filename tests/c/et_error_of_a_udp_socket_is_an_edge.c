/* A datagram to a closed port comes back as an error, which is an edge each time; collecting the
 * error clears the level (E3). */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    /* A port that was just released. */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int taken = OK(socket(AF_INET, SOCK_DGRAM, 0)), fd = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    OK(bind(taken, (struct sockaddr *)&address, size));
    OK(getsockname(taken, (struct sockaddr *)&address, &size));
    OK(connect(fd, (struct sockaddr *)&address, size));
    OK(close(taken));
    int ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 6; i++) {
        struct waiter waiter;
        if (i % 2)
            start_waiter(&waiter, ep);
        CHECK_EQ(send(fd, "x", 1, 0), 1);
        if (i % 2) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLERR);
        } else {
            EXPECT_ONE(ep, 1, EPOLLERR);
        }
        EXPECT_NONE_NOW(ep);
        int error;
        size = sizeof error;
        OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
        CHECK_EQ(error, ECONNREFUSED);
        MOD(ep, fd, EPOLLIN | EPOLLET, 1);
        EXPECT_NONE_NOW(ep);
    }
}

/* After an error was collected, by a call that fails with it or by SO_ERROR, the next error is an
 * edge again (E3). */
#include "harness.h"
#include <netinet/in.h>

void test(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int closed = OK(socket(AF_INET, SOCK_DGRAM, 0)), fd = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    OK(bind(closed, (struct sockaddr *)&address, size));
    OK(getsockname(closed, (struct sockaddr *)&address, &size));
    OK(connect(fd, (struct sockaddr *)&address, size));
    OK(close(closed));
    int ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(send(fd, "x", 1, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLERR);
        EXPECT_NONE_NOW(ep);
        int error = 0;
        socklen_t length = sizeof error;
        if (i % 3 == 0) {
            OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
            CHECK_EQ(error, ECONNREFUSED);
        } else if (i % 3 == 1) {
            CHECK_ERRNO(send(fd, "x", 1, 0), ECONNREFUSED);
        } else {
            CHECK_ERRNO(recv(fd, &error, sizeof error, 0), ECONNREFUSED);
        }
    }
    EXPECT_NONE(ep);
}

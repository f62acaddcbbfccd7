/* A nonblocking connect() to a port without a listener reports ERR and HUP beside the bits of the
 * mask (E3, T5). */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    for (int i = 0; i < 4; i++) {
        bool added_before = i & 1;
        uint32_t edge = i & 2 ? EPOLLET : 0;

        /* A port that is bound but not listening. */
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int taken = OK(socket(AF_INET, SOCK_STREAM, 0));
        OK(bind(taken, (struct sockaddr *)&address, size));
        OK(getsockname(taken, (struct sockaddr *)&address, &size));

        int ep = new_epoll(), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        if (added_before) {
            ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | edge, 1);
            EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
        }
        CHECK_ERRNO(connect(fd, (struct sockaddr *)&address, size), EINPROGRESS);
        if (!added_before)
            ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | edge, 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
        if (edge)
            EXPECT_NONE(ep);

        /* SO_ERROR clears the error; the hang-up stays. */
        int error;
        size = sizeof error;
        OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
        CHECK_EQ(error, ECONNREFUSED);
        MOD(ep, fd, EPOLLOUT, 2);
        EXPECT_ONE(ep, 2, EPOLLOUT | EPOLLHUP);
        OK(close(taken));
        OK(close(fd));
        OK(close(ep));
    }
}

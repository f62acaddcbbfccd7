/* A nonblocking connect() to a listener reports OUT when it completes, whether the socket is added
 * before or after, level or edge (E4). */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    for (int i = 0; i < 8; i++) {
        bool added_before = i & 1, edge = i & 2, blocked = i & 4;
        int listener = tcp_listener(), ep = new_epoll(), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        struct sockaddr_in address;
        socklen_t size = sizeof address;
        OK(getsockname(listener, (struct sockaddr *)&address, &size));

        /* A socket that was never connected is writable and hung up. */
        struct waiter waiter;
        if (added_before) {
            ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 0);
            EXPECT_ONE(ep, 0, EPOLLOUT | EPOLLHUP);
            EXPECT_NONE_NOW(ep);
            if (blocked)
                start_waiter(&waiter, ep);
        }
        if (connect(fd, (struct sockaddr *)&address, size) == -1)
            CHECK_EQ(errno, EINPROGRESS);
        if (added_before && blocked) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLOUT);
        } else if (added_before) {
            EXPECT_ONE(ep, 0, EPOLLOUT);
        } else {
            ADD(ep, fd, EPOLLIN | EPOLLOUT | (edge ? EPOLLET : 0), 1);
            EXPECT_ONE(ep, 1, EPOLLOUT);
        }
        int error;
        size = sizeof error;
        OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
        CHECK_EQ(error, 0);

        /* The socket is now a connection like any other. */
        MOD(ep, fd, EPOLLIN | EPOLLET, 2);
        int peer = OK(accept(listener, NULL, NULL));
        write_bytes(peer, 1);
        EXPECT_ONE(ep, 2, EPOLLIN);
        OK(close(peer));
        OK(close(fd));
        OK(close(ep));
        OK(close(listener));
    }
}

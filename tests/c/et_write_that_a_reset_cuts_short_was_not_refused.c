/* A write during which the connection is reset, and reported by another thread, is cut short for that and not for want of room: what
 * was reported is no edge again. The report has to come before the write returns, so it is tried often. */
#include "harness.h"

static char bytes[1 << 20];

void test(void)
{
    int small = 16384, again = 0;
    for (int i = 0; i < 60; i++) {
        int fd[2], ep = new_epoll();
        struct waiter waiter;
        make_tcp(fd);
        OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
        OK(shutdown(fd[1], SHUT_RDWR));
        UNTIL(poll(&(struct pollfd){.fd = fd[0], .events = POLLIN}, 1, 0) == 1);
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);

        start_waiter(&waiter, ep);
        CHECK(send(fd[0], bytes, 65536, MSG_NOSIGNAL) > 0);
        CHECK_EQ(join_waiter(&waiter), 1);
        again += wait_at_most(ep, 1, 0).n;
        EXPECT_NONE_NOW(ep);
        CHECK_ERRNO(send(fd[0], bytes, 1, MSG_NOSIGNAL), EPIPE);
        EXPECT_NONE_NOW(ep);
        OK(close(fd[0]));
        OK(close(fd[1]));
        OK(close(ep));
    }
    CHECK(again <= 4);
}

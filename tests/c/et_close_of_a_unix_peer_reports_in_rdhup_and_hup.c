/* The close of a unix stream socket is one edge with IN, RDHUP and HUP for its peer, with unread
 * data or without (E3). */
#include "harness.h"

void test(void)
{
    for (int unread = 0; unread < 2; unread++)
        for (int blocked = 0; blocked < 2; blocked++) {
            int fd[2], ep = new_epoll();
            make_pair(SOCK_STREAM, fd);
            ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
            if (unread) {
                write_bytes(fd[1], 10);
                EXPECT_ONE(ep, 1, EPOLLIN);
            }
            struct waiter waiter;
            if (blocked)
                start_waiter(&waiter, ep);
            OK(close(fd[1]));
            if (blocked) {
                CHECK_EQ(join_waiter(&waiter), 1);
                CHECK_EQ(waiter.at[0].events, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
            } else {
                EXPECT_ONE(ep, 1, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
            }
            EXPECT_NONE(ep);
        }
}

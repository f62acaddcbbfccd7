/* A unix socket whose peer shut down both directions is hung up. The close of the peer is another
 * edge, with ERR if the peer left data unread, also for a thread that sleeps (E3). */
#include "harness.h"

void test(void)
{
    for (int unread = 0; unread < 2; unread++)
        for (int blocked = 0; blocked < 2; blocked++) {
            int fd[2], ep = new_epoll();
            uint32_t over = EPOLLIN | EPOLLRDHUP | EPOLLHUP;
            make_pair(SOCK_STREAM, fd);
            ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
            if (unread)
                write_bytes(fd[0], 3);
            OK(shutdown(fd[1], SHUT_RDWR));
            EXPECT_ONE(ep, 1, over);
            EXPECT_NONE(ep);
            struct waiter waiter;
            if (blocked)
                start_waiter(&waiter, ep);
            OK(close(fd[1]));
            over |= unread ? EPOLLERR : 0;
            if (blocked) {
                CHECK_EQ(join_waiter(&waiter), 1);
                CHECK_EQ(waiter.at[0].events, over);
            } else {
                EXPECT_ONE(ep, 1, over);
            }
            EXPECT_NONE(ep);
        }
}

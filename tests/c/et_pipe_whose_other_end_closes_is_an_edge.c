/* The close of the last writer is a HUP edge for the reader, and the close of the last reader is an
 * ERR edge for the writer (E3). */
#include "harness.h"

void test(void)
{
    for (int unread = 0; unread < 2; unread++)
        for (int blocked = 0; blocked < 2; blocked++)
            for (int end = 0; end < 2; end++) {
                int fd[2], ep = new_epoll();
                make_pipe(fd);
                ADD(ep, fd[end], (end == 0 ? EPOLLIN : EPOLLOUT) | EPOLLET, 1);
                if (end == 1)
                    EXPECT_ONE(ep, 1, EPOLLOUT);
                if (unread) {
                    write_bytes(fd[1], 10);
                    if (end == 0)
                        EXPECT_ONE(ep, 1, EPOLLIN);
                }
                uint32_t expected = end == 1 ? EPOLLOUT | EPOLLERR : unread ? EPOLLIN | EPOLLHUP : EPOLLHUP;
                struct waiter waiter;
                if (blocked)
                    start_waiter(&waiter, ep);
                OK(close(fd[1 - end]));
                if (blocked) {
                    CHECK_EQ(join_waiter(&waiter), 1);
                    CHECK_EQ(waiter.at[0].events, expected);
                } else {
                    EXPECT_ONE(ep, 1, expected);
                }
                EXPECT_NONE(ep);
            }
}

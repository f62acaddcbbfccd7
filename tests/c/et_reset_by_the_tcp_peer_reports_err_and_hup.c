/* A TCP reset is an edge with ERR and HUP, on an idle connection or with unread data, also after a
 * shutdown was reported (E3). */
#include "harness.h"

static void reset(int fd)
{
    struct linger none = {.l_onoff = 1};
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none));
    OK(close(fd));
}

void test(void)
{
    uint32_t gone = EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP;
    for (int unread = 0; unread < 2; unread++)
        for (int blocked = 0; blocked < 2; blocked++) {
            int fd[2], ep = new_epoll();
            make_tcp(fd);
            ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
            if (unread) {
                write_bytes(fd[1], 10);
                EXPECT_ONE(ep, 1, EPOLLIN);
            }
            struct waiter waiter;
            if (blocked)
                start_waiter(&waiter, ep);
            reset(fd[1]);
            if (blocked) {
                CHECK_EQ(join_waiter(&waiter), 1);
                CHECK(waiter.at[0].events & EPOLLERR);
            } else {
                EXPECT_BITS(ep, 1, gone);
            }
            while (wait_events(ep, QUIET_MS).n > 0)
                subject = "after the reset";
            MOD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 2);
            EXPECT_ONE(ep, 2, gone);
            subject = "";
        }
}

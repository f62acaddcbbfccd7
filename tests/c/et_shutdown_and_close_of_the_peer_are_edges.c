/* The peer's shutdown and its close are edges that report RDHUP and HUP, also on top of unread data
 * (E3). */
#include "harness.h"

static void run(int fd[2], bool unread, bool blocked)
{
    uint32_t in = EPOLLIN, end = EPOLLIN | EPOLLRDHUP;
    int ep = new_epoll();
    ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
    if (unread) {
        write_bytes(fd[1], 10);
        EXPECT_ONE(ep, 1, in);
    }
    EXPECT_NONE_NOW(ep);

    struct waiter waiter;
    if (blocked)
        start_waiter(&waiter, ep);
    OK(shutdown(fd[1], SHUT_WR));
    if (blocked) {
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, end);
    } else {
        EXPECT_ONE(ep, 1, end);
    }
    EXPECT_NONE(ep);

    /* Our own side is shut down too: now it is a hang-up. */
    OK(shutdown(fd[0], SHUT_WR));
    EXPECT_BITS(ep, 1, end | EPOLLHUP);
    EXPECT_NONE(ep);
    OK(close(fd[1]));
    OK(close(fd[0]));
    OK(close(ep));
}

void test(void)
{
    for (int i = 0; i < 8; i++) {
        int fd[2];
        subject = i & 4 ? "tcp" : "unix stream";
        if (i & 4)
            make_tcp(fd);
        else
            make_pair(SOCK_STREAM, fd);
        run(fd, i & 1, i & 2);
    }
}

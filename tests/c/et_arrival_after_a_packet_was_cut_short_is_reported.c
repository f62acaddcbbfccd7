/* A read with a small buffer takes a whole packet off a unix seqpacket socket; the next arrival is an edge (E1, E2). */
#include "harness.h"

void test(void)
{
    char small[4];
    for (int blocked = 0; blocked < 2; blocked++) {
        int fd[2], ep = new_epoll();
        make_pair(SOCK_SEQPACKET, fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        CHECK_EQ(send(fd[1], "0123456789", 10, 0), 10);
        CHECK_EQ(send(fd[1], "0123456789", 10, 0), 10);
        EXPECT_ONE(ep, 1, EPOLLIN);

        /* What was cut off and what comes are the same number of bytes. */
        CHECK_EQ(read(fd[0], small, sizeof small), sizeof small);
        struct waiter waiter;
        if (blocked)
            start_waiter(&waiter, ep);
        CHECK_EQ(send(fd[1], "012345", 6, 0), 6);
        if (blocked) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLIN);
        } else {
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        EXPECT_NONE_NOW(ep);
    }
}

/* A read with a small buffer takes a whole packet from a unix seqpacket socket. The next arrival is
 * an edge (E1, E2). */
#include "harness.h"

void test(void)
{
    char small[4];
    for (int i = 0; i < 5; i++) {
        int fd[2], ep = new_epoll();
        make_pair(SOCK_SEQPACKET, fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        CHECK_EQ(send(fd[1], "0123456789", 10, 0), 10);
        CHECK_EQ(send(fd[1], "0123456789", 10, 0), 10);
        EXPECT_ONE(ep, 1, EPOLLIN);

        /* As many bytes arrive as were discarded, or another number of them. */
        CHECK_EQ(read(fd[0], small, sizeof small), sizeof small);
        CHECK_EQ(send(fd[1], "012345678", 4 + i, 0), 4 + i);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
}

/* An empty packet on a unix seqpacket socket is an edge like any other, also while older ones are
 * unread (E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pair(SOCK_SEQPACKET, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    OK(send(fd[1], "", 0, 0));
    CHECK_EQ(wait_events(ep, 300).n, 1);
}

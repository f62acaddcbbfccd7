/* An empty datagram on a unix socket is an edge, even if the program peeked at it before the next
 * wait (E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    char byte;
    make_pair(SOCK_DGRAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(recv(fd[0], &byte, 1, 0), 1);
    EXPECT_NONE_NOW(ep);
    OK(send(fd[1], "", 0, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(send(fd[1], "", 0, 0));
    CHECK_EQ(recv(fd[0], &byte, 1, 0), 0);
    CHECK_EQ(recv(fd[0], &byte, 1, MSG_PEEK), 0);
    CHECK_EQ(wait_events(ep, 300).n, 1);
}

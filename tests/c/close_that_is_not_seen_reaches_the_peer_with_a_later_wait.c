/* A close by a system call that the library does not see reaches the peer, at the latest with a
 * wait some time later (D4). */
#include "oracle.h"

static bool is_closed(int ep, int peer)
{
    char byte;
    struct epoll_event event;
    OK(epoll_wait(ep, &event, 1, 0));
    return recv(peer, &byte, 1, MSG_DONTWAIT) == 0;
}

void test(void)
{
    int fd[2], ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(bare(SYS_close, fd[0], 0, 0, 0, 0, 0), 0);
    UNTIL(is_closed(ep, fd[1]));
}

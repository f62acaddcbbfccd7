/* The close of a unix socket's peer discards its unread data and so frees space. It is one edge of
 * the outer instances, and a call that collects the reset is not an edge (E3, E4, N2). */
#include "harness.h"

void test(void)
{
    int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (int i = 0; i < 2; i++) {
        int outer = new_epoll(), inner = new_epoll(), fd[2], always = OK(eventfd(1, 0));
        char byte;
        make_pair(types[i], fd);
        ADD(outer, inner, EPOLLIN | EPOLLET, 1);
        ADD(inner, fd[0], EPOLLOUT | EPOLLET, 2);
        fill(fd[0]);
        ADD(inner, always, EPOLLIN, 3); /* so that an item is ready inside */
        EXPECT_ONE(outer, 1, EPOLLIN);
        OK(close(fd[1]));
        struct events inside = wait_events(inner, 0);
        CHECK_EQ(inside.n, 2);
        CHECK_EQ(inside.at[0].events | inside.at[1].events, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
        EXPECT_ONE(outer, 1, EPOLLIN);
        CHECK_EQ(read(fd[0], &byte, 1), -1);
        CHECK_EQ(errno, ECONNRESET);
        EXPECT_NONE_NOW(outer);
        OK(close(outer)), OK(close(inner)), OK(close(fd[0])), OK(close(always));
    }
}

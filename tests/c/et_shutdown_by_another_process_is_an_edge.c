/* A shutdown is an edge on the socket itself, even if another process calls it, and whether a level
 * changes or not (E3). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    pid_t child = OK(fork());
    if (child == 0)
        _exit(shutdown(fd[0], SHUT_WR) != 0);
    expect_exit_0(child);
    CHECK_EQ(wait_events(ep, 300).n, 1);
}

/* A shutdown by another process on a TCP connection with unread data is an edge, and its
 * acknowledgement, which may come later, is another. There is no edge in between (E1, E3). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], reports = 0;
    make_tcp(fd);
    /* After this write the peer delays its other acknowledgements. */
    write_bytes(fd[1], 1);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    write_bytes(fd[0], 1);
    EXPECT_BITS(ep, 1, EPOLLIN | EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    pid_t child = OK(fork());
    if (child == 0)
        _exit(shutdown(fd[0], SHUT_WR) != 0);
    expect_exit_0(child);
    UNTIL((reports += wait_events(ep, 0).n, end_is_acknowledged(fd[0])));
    reports += wait_events(ep, 0).n;
    EXPECT_NONE(ep);
    CHECK(reports >= 1);
    CHECK(reports <= 2);
}

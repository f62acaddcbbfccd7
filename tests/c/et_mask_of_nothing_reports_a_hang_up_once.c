/* A mask of EPOLLET alone switches a registration off: data is not reported, a hang-up is reported
 * once (T5, W4). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLET, 1);
    write_bytes(fd[1], 5);
    OK(shutdown(fd[1], SHUT_WR));
    EXPECT_NONE(ep);
    OK(close(fd[1]));
    EXPECT_ONE(ep, 1, EPOLLHUP);
    EXPECT_NONE(ep);

    /* Switched on again, it is level-triggered. */
    MOD(ep, fd[0], EPOLLIN, 2);
    EXPECT_ONE(ep, 2, EPOLLIN | EPOLLHUP);
    EXPECT_ONE(ep, 2, EPOLLIN | EPOLLHUP);
}

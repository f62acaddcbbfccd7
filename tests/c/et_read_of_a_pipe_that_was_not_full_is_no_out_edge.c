/* A read from a pipe that already had space is not an OUT edge for its writer (E4). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    write_bytes(fd[1], 5000);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(read_all(fd[0]), 5000);
    EXPECT_NONE(ep);
}

/* A splice out of a pipe is an OUT edge of its writing end, whether the pipe was full or not; a
 * splice that a full pipe refuses is an IN edge of its reading end (E1, E4). */
#include "harness.h"

void test(void)
{
    int fd[2], to[2], ep = new_epoll();
    make_pipe(fd);
    make_pipe(to);
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[1], 10);
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(splice(fd[0], NULL, to[1], NULL, 10, SPLICE_F_NONBLOCK), 10);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
    DEL(ep, fd[1]);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 2);
    fill(fd[1]);
    EXPECT_ONE(ep, 2, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(write(fd[1], "x", 1), EAGAIN);
        EXPECT_ONE(ep, 2, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
}

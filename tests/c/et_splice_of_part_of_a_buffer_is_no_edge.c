/* A splice that takes a part of one pipe buffer releases no buffer, so it is not an OUT edge of the
 * writing end (E4). */
#include "harness.h"

void test(void)
{
    int fd[2], to[2], ep = new_epoll();
    make_pipe(fd);
    make_pipe(to);
    write_bytes(fd[1], 10);
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    CHECK_EQ(splice(fd[0], NULL, to[1], NULL, 4, SPLICE_F_NONBLOCK), 4);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(splice(fd[0], NULL, to[1], NULL, 6, SPLICE_F_NONBLOCK), 6);
    EXPECT_ONE(ep, 1, EPOLLOUT);
}

/* The edges of one registration are neither lost nor repeated while exclusive ones are added to the
 * instance and deleted: a unix socket's hang-up and the close of its peer are one edge each
 * (E3). */
#include "harness.h"

void test(void)
{
    int fd[2], other[2], ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    make_pair(SOCK_STREAM, other);
    ADD(ep, other[0], EPOLLIN | EPOLLEXCLUSIVE, 2);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    OK(shutdown(fd[1], SHUT_RDWR));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLHUP);
    DEL(ep, other[0]);
    EXPECT_NONE_NOW(ep);
    OK(close(fd[1]));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLHUP);
    ADD(ep, other[0], EPOLLIN | EPOLLEXCLUSIVE, 2);
    EXPECT_NONE(ep);
    write_bytes(other[1], 1);
    EXPECT_ONE(ep, 2, EPOLLIN);
    DEL(ep, other[0]);
    EXPECT_NONE(ep);
}

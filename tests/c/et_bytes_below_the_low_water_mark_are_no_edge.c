/* Fewer bytes on a TCP connection than SO_RCVLOWAT asks for wake no thread, whether they are read
 * or not (E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], mark = 10;
    char byte;
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark));
    write_bytes(fd[1], 3);
    EXPECT_NONE(ep);
    CHECK_EQ(read(fd[0], &byte, 1), 1);
    CHECK_EQ(wait_events(ep, QUIET_MS).n, 0);
}

/* Space that a read by the peer freed is an edge, even if a smaller send buffer takes it away
 * before the next wait: that wait reports the other high levels (E4). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], size = 30000;
    char bytes[4096] = {0};
    make_pair(SOCK_DGRAM, fd);
    CHECK_EQ(send(fd[0], bytes, 1, 0), 1);
    CHECK_EQ(send(fd[1], bytes, 1, 0), 1);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(send(fd[0], bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(read(fd[1], bytes, 1), 1);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    EXPECT_ONE(ep, 1, EPOLLIN);
}

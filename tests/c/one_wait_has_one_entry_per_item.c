/* Many wake-ups of one item between two waits are one entry, which has all its bits (W4, W6). */
#include "harness.h"

void test(void)
{
    uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT};
    for (int i = 0; i < 3; i++) {
        int ep = new_epoll(), fd[2];
        make_pair(SOCK_STREAM, fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | modes[i], 1);
        for (int j = 0; j < 10; j++)
            write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        for (int j = 0; j < 10; j++)
            write_bytes(fd[1], 1);
        MOD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | modes[i], 2);
        OK(shutdown(fd[1], SHUT_WR));
        EXPECT_ONE(ep, 2, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    }
}

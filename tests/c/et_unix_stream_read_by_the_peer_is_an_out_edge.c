/* On a unix stream socket every read by the peer is an OUT edge, though the socket was always
 * writable (E4). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    char byte;
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[0], 1);
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(read(fd[1], &byte, 1), 1);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
}

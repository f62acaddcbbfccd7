/* A read by the peer of a TCP socket that never refused a write is not an OUT edge (E4). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[0], 1000);
        EXPECT_NONE_NOW(ep);
        size_t taken = 0;
        UNTIL((taken += read_all(fd[1])) == 1000);
        EXPECT_NONE(ep);
    }
}

/* A read with a small buffer takes a whole packet from a pipe in packet mode. The next arrival is
 * an edge; the discarded rest of the packet is not (E1, E4). */
#include "harness.h"

void test(void)
{
    char small[4];
    for (int i = 0; i < 5; i++) {
        int fd[2], ep = new_epoll();
        CHECK_EQ(pipe2(fd, O_DIRECT | O_NONBLOCK), 0);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        write_bytes(fd[1], 10);
        write_bytes(fd[1], 10);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read(fd[0], small, sizeof small), sizeof small);
        EXPECT_NONE_NOW(ep);

        /* As many bytes arrive as were discarded, or another number of them. */
        write_bytes(fd[1], 4 + i);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
}

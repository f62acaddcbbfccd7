/* A read with a small buffer takes a whole packet off a pipe that keeps them apart; the next
 * arrival is an edge, and what was cut off is none (E1, E4). */
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

        /* What comes is as much as was cut off, or another number of bytes. */
        write_bytes(fd[1], 4 + i);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
}

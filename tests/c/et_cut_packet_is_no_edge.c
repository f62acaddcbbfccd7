/* A read takes one packet from a pipe in packet mode, and discards the rest of a packet that does
 * not fit its buffer. This is not an edge while other packets are unread (E4). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    char byte;
    CHECK_EQ(pipe2(fd, O_DIRECT | O_NONBLOCK), 0);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    write_bytes(fd[1], 10);
    write_bytes(fd[1], 10);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read(fd[0], &byte, 1), 1);
    EXPECT_NONE_NOW(ep);
}

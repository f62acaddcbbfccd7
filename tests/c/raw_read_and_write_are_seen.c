/* read, write and similar calls through syscall() drain and feed an edge-triggered item as libc's
 * functions do (E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    char byte = 0;
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(syscall(SYS_write, fd[1], &byte, 1), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(syscall(SYS_read, fd[0], &byte, 1), 1);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(syscall(SYS_sendto, fd[1], &byte, 1, 0, NULL, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(syscall(SYS_recvfrom, fd[0], &byte, 1, 0, NULL, NULL), 1);
    }
    EXPECT_NONE(ep);
}

/* A partial read by another process is not an edge (E2). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    write_bytes(fd[1], 2);
    EXPECT_ONE(ep, 1, EPOLLIN);
    pid_t child = OK(fork());
    if (child == 0) {
        char byte;
        _exit(read(fd[0], &byte, 1) != 1);
    }
    expect_exit_0(child);
    CHECK_EQ(wait_events(ep, 100).n, 0);
}

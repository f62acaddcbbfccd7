/* A number that dup3() gives to another socket by a raw system call reports nothing of that one (D1),
 * however many waits were silent before. With EPOLYFILL_POLLER=auto, where the kernel refuses
 * io_uring, what has been silent for 32 waits is made to send signals. */
#include "oracle.h"

enum { N = 40 };

static void exchange_before(int waits)
{
    int ep = new_epoll(), fd[N][2], other[2];
    for (int i = 0; i < N; i++) {
        make_pair(SOCK_STREAM, fd[i]);
        ADD(ep, fd[i][0], EPOLLIN, i);
    }
    make_pair(SOCK_STREAM, other);
    CHECK_EQ(bare(SYS_dup3, other[0], fd[0][0], 0, 0, 0, 0), fd[0][0]);
    for (int k = 0; k < waits; k++) {
        write_bytes(fd[N - 1][1], 1);
        EXPECT_ONE(ep, N - 1, EPOLLIN);
        CHECK_EQ(read_all(fd[N - 1][0]), 1);
    }
    write_bytes(other[1], 1);
    for (int k = 0; k < 5; k++)
        EXPECT_NONE_NOW(ep);
    OK(close(ep));
    for (int i = 0; i < N; i++) {
        OK(close(fd[i][0]));
        OK(close(fd[i][1]));
    }
    OK(close(other[0]));
    OK(close(other[1]));
}

void test(void)
{
    for (int waits = 0; waits <= 60; waits += 12)
        exchange_before(waits);
}

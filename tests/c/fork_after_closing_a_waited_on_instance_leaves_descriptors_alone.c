/* A child that is forked after an instance was closed under its waiter keeps its other descriptors
 * and its other instances as they were (D5, W11). */
#include "harness.h"

void test(void)
{
    int closed = new_epoll(), other, silent[2], fd[8][2];
    make_pipe(silent);
    ADD(closed, silent[0], EPOLLIN, 9);
    struct waiter waiter;
    start_waiter(&waiter, closed);
    other = new_epoll();
    OK(close(closed));
    struct stat before[8], now;
    for (int i = 0; i < 8; i++) {
        make_pair(SOCK_STREAM, fd[i]);
        ADD(other, fd[i][0], EPOLLIN, i);
        OK(fstat(fd[i][0], &before[i]));
    }
    pid_t child = OK(fork());
    if (child == 0) {
        for (int i = 0; i < 8; i++) {
            OK(fstat(fd[i][0], &now));
            CHECK_EQ(now.st_mode, before[i].st_mode);
            CHECK_EQ(now.st_ino, before[i].st_ino);
        }
        for (int i = 0; i < 8; i++) {
            write_bytes(fd[i][1], 1);
            EXPECT_ONE(other, i, EPOLLIN);
            CHECK_EQ(read_all(fd[i][0]), 1);
        }
        _exit(0);
    }
    expect_exit_0(child);
    wait_until_blocked(waiter.thread.tid);
    write_bytes(silent[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
}

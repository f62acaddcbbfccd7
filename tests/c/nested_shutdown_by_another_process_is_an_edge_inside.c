/* A TCP connection with unread data, in an instance inside others, is reported again when another
 * process shuts it down for reading: outer looks come before the wait, and do not consume its edge
 * (E3, N2). */
#include "harness.h"

static void look_then_wait(bool beside, bool followed)
{
    int inner = new_epoll(), middle = new_epoll(), outer = new_epoll(), fd[2];
    make_tcp(fd);
    if (beside)
        ADD(middle, fd[0], 0, 1);
    ADD(middle, inner, 0, 2);
    ADD(inner, fd[0], EPOLLIN | EPOLLET, 3);
    write_bytes(fd[1], 4096);
    EXPECT_ONE(inner, 3, EPOLLIN);
    if (followed)
        ADD(outer, middle, EPOLLOUT | EPOLLET, 4);
    pid_t child = OK(fork());
    if (child == 0) {
        OK(shutdown(fd[0], SHUT_RD));
        _exit(0);
    }
    expect_exit_0(child);
    for (int i = 0; i < 3; i++) {
        EXPECT_NONE_NOW(outer);
        EXPECT_NONE_NOW(middle);
    }
    EXPECT_ONE(inner, 3, EPOLLIN);
    EXPECT_NONE_NOW(inner);
    OK(close(inner)), OK(close(middle)), OK(close(outer)), OK(close(fd[0])), OK(close(fd[1]));
}

void test(void)
{
    for (int variant = 0; variant < 4; variant++)
        look_then_wait(variant & 1, variant & 2);
}

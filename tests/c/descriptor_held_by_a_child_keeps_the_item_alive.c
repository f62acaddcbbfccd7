/* While a child holds the open file description, the parent that closed the descriptor still gets
 * reports of the item; when the child ends, the item is gone (D1, D2, D5). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], go[2];
    make_pipe(fd);
    OK(pipe(go));
    ADD(ep, fd[0], EPOLLIN, 1);
    pid_t child = OK(fork());
    if (child == 0) {
        char byte;
        OK(close(go[1]));
        OK(close(ep));
        CHECK_EQ(read(go[0], &byte, 1), 0);
        _exit(0);
    }
    OK(close(fd[0]));
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL), EBADF);
    OK(close(go[1]));
    expect_exit_0(child);
    EXPECT_NONE(ep);
}

/* ERR and HUP belong to every mask; other bits are reported only if the mask has them (T5). */
#include "harness.h"

void test(void)
{
    /* An empty mask, on each end of a pipe whose other end is closed. */
    for (int end = 0; end < 2; end++) {
        int ep = new_epoll(), fd[2];
        make_pipe(fd);
        ADD(ep, fd[end], 0, 5);
        write_bytes(fd[1], 1);
        EXPECT_NONE_NOW(ep);
        OK(close(fd[1 - end]));
        EXPECT_ONE(ep, 5, end == 0 ? EPOLLHUP : EPOLLERR);
        EXPECT_ONE(ep, 5, end == 0 ? EPOLLHUP : EPOLLERR);
        MOD(ep, fd[end], EPOLLIN | EPOLLOUT, 6);
        EXPECT_ONE(ep, 6, end == 0 ? EPOLLIN | EPOLLHUP : EPOLLOUT | EPOLLERR);
    }
}

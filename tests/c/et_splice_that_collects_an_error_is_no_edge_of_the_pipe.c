/* A splice that fails with the pending error of its socket did nothing to its output pipe, and is
 * not an edge there. */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), pair[2], ends[2];
    OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
    make_pipe(ends);
    ADD(ep, ends[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    /* The unread byte makes the close of the other end a reset, while ten bytes remain to be
     * spliced. */
    write_bytes(pair[0], 1);
    write_bytes(pair[1], 10);
    OK(close(pair[1]));
    CHECK_ERRNO(splice(pair[0], NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK), ECONNRESET);
    EXPECT_NONE(ep);
    OK(close(ep)), OK(close(pair[0])), OK(close(ends[0])), OK(close(ends[1]));
}

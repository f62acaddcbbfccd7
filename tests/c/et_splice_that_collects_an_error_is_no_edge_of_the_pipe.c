/* A splice that fails with the pending error of its socket has done nothing to the pipe it would
 * have filled, and no edge is one there. */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), pair[2], ends[2];
    OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
    make_pipe(ends);
    ADD(ep, ends[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    /* What the other end leaves unread resets the connection, with more to splice than that. */
    write_bytes(pair[0], 1);
    write_bytes(pair[1], 10);
    OK(close(pair[1]));
    CHECK_ERRNO(splice(pair[0], NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK), ECONNRESET);
    EXPECT_NONE(ep);
    OK(close(ep)), OK(close(pair[0])), OK(close(ends[0])), OK(close(ends[1]));
}

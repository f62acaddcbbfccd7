/* While one of two exclusive instances has an unread arrival, the other, which alone waits for
 * EPOLLOUT, reports room (X1). */
#include "harness.h"

static int reports(int ep)
{
    return wait_at_most(ep, 8, 0).n;
}

void test(void)
{
    int fd[2], both = new_epoll(), reader = new_epoll();
    char byte;
    make_pair(SOCK_STREAM, fd);
    ADD(both, fd[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE, 1);
    ADD(reader, fd[0], EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 1);
    write_bytes(fd[0], 1);
    write_bytes(fd[1], 1);
    /* Makes the reader the instance that reported the arrival last. */
    int heard = 0;
    for (int i = 0; i < 4 && !heard; i++) {
        reports(both);
        heard = reports(reader);
    }
    CHECK_EQ(heard, 1);
    CHECK_EQ(read(fd[1], &byte, 1), 1);
    write_bytes(fd[0], 1);
    heard = 0;
    for (int i = 0; i < 4; i++) {
        heard += reports(both);
        reports(reader);
    }
    CHECK_EQ(heard, 1);
}

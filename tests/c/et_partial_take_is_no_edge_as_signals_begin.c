/* A read that takes one of several messages is no edge, whatever the number of reports before it:
 * after some of them signals report the arrivals in place of poll (E6). */
#include "harness.h"

static void try(int reports)
{
    char bytes[2];
    int ep = new_epoll(), fd[2];

    OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd));
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < reports; i++) {
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    for (int i = 1; i < reports; i++) {
        CHECK_EQ(read(fd[0], bytes, sizeof bytes), 1);
        EXPECT_NONE_NOW(ep);
    }
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    for (int reports = 1; reports < 40; reports++)
        try(reports);
}

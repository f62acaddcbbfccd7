/* A program compiled with _FORTIFY_SOURCE reads and polls through other names of libc, which the
 * library sees as well (E1, N1). */
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    char bytes[64];
    volatile size_t many = sizeof bytes; /* unknown at compile time: checked at run time */
    struct pollfd polls[2];
    volatile nfds_t one = 1;
    struct timespec zero = {0, 0};
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    polls[0] = (struct pollfd){.fd = ep, .events = POLLIN};
    for (int i = 0; i < 9; i++) {
        write_bytes(fd[1], 4);
        CHECK_EQ(poll(polls, one, BOUND_MS), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(ppoll(polls, one, &zero, NULL), 0);
        if (i % 3 == 0)
            CHECK_EQ(read(fd[0], bytes, many), 4);
        else if (i % 3 == 1)
            CHECK_EQ(recv(fd[0], bytes, many, 0), 4);
        else
            CHECK_EQ(recvfrom(fd[0], bytes, many, 0, NULL, NULL), 4);
    }
    EXPECT_NONE(ep);
}

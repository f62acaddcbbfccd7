/* The queue of errors of a UDP socket is reported. Then a datagram arrives, and the program switches
 * the queue off, which discards the error: the datagram is an edge (E1). */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    int fd[2], ep = new_epoll();
    static char too_long[65535];
    make_udp(fd);
    OK(setsockopt(fd[0], IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int)));
    CHECK_ERRNO(write(fd[0], too_long, sizeof too_long), EMSGSIZE);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    write_bytes(fd[1], 1);
    OK(setsockopt(fd[0], IPPROTO_IP, IP_RECVERR, &(int){0}, sizeof(int)));
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(read_all(fd[0]), 1);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
}

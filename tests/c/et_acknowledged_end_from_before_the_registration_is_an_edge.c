/* The peer's acknowledgement of the end of a TCP connection is an edge, also for a registration
 * added after the shutdown (E3). */
#include "harness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

void test(void)
{
    for (int told = 0, tries = 0; told < 3; tries++) {
        int ep = new_epoll(), fd[2];
        CHECK(tries < 1000);
        make_tcp(fd);
        /* The peer delays its acknowledgement; a round in which it came too early is repeated. */
        OK(setsockopt(fd[1], IPPROTO_TCP, TCP_QUICKACK, &(int){0}, sizeof(int)));
        OK(shutdown(fd[0], SHUT_WR));
        ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
        CHECK_EQ(wait_events(ep, 0).n, 1);
        if (!end_is_acknowledged(fd[0])) {
            EXPECT_ONE(ep, 1, EPOLLOUT);
            told++;
        }
        OK(close(ep)), OK(close(fd[0])), OK(close(fd[1]));
    }
}

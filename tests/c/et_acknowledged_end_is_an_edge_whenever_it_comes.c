/* The peer's acknowledgement of the end of a TCP connection is an edge, even if it arrives while
 * the waiting thread looks at the connection (E3). */
#include "harness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

void test(void)
{
    for (int told = 0, tries = 0; told < 50; tries++) {
        int ep = new_epoll(), fd[2], reports = 0;
        CHECK(tries < 1000);
        make_tcp(fd);
        /* The peer delays its acknowledgement; a round in which it came too early is repeated. */
        OK(setsockopt(fd[1], IPPROTO_TCP, TCP_QUICKACK, &(int){0}, sizeof(int)));
        ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        OK(shutdown(fd[0], SHUT_WR));
        EXPECT_ONE(ep, 1, EPOLLOUT);
        if (!end_is_acknowledged(fd[0])) {
            for (int64_t end = now_ns() + 1000000000; reports == 0 && now_ns() < end;)
                reports += wait_events(ep, 0).n;
            CHECK_EQ(reports, 1);
            told++;
        }
        OK(close(ep)), OK(close(fd[0])), OK(close(fd[1]));
    }
}

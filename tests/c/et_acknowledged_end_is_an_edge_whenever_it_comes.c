/* That the peer acknowledges the end of a TCP connection is an edge, also while a thread that waits is looking at just that (E3). */
#include "harness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

enum { ROUNDS = 20, CONNECTIONS = 5 };

void test(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        int ep = new_epoll(), fd[CONNECTIONS][2], reports = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            make_tcp(fd[i]);
            /* The peer takes its time. */
            OK(setsockopt(fd[i][1], IPPROTO_TCP, TCP_QUICKACK, &(int){0}, sizeof(int)));
            ADD(ep, fd[i][0], EPOLLOUT | EPOLLET, i);
        }
        CHECK_EQ(wait_events(ep, 0).n, CONNECTIONS);
        for (int i = 0; i < CONNECTIONS; i++)
            OK(shutdown(fd[i][0], SHUT_WR));
        CHECK_EQ(wait_events(ep, 0).n, CONNECTIONS);
        for (int64_t end = now_ns() + BOUND_MS * 1000000ll; reports < CONNECTIONS && now_ns() < end;)
            reports += wait_events(ep, 0).n;
        CHECK_EQ(reports, CONNECTIONS);
        EXPECT_NONE_NOW(ep);
        OK(close(ep));
        for (int i = 0; i < CONNECTIONS; i++)
            OK(close(fd[i][0])), OK(close(fd[i][1]));
    }
}

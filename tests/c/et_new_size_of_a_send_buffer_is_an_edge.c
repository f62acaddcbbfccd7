/* A new size of a socket's send buffer, or a new TCP_NOTSENT_LOWAT, wakes the threads that wait for
 * EPOLLOUT if there is space, including a thread that sleeps and an outer instance. It does not
 * wake waiters for other events (E4). */
#include "harness.h"
#include <netinet/in.h>
#include <netinet/tcp.h>

static void make_sockets(int i, int fd[2])
{
    const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    if (i == 0)
        make_tcp(fd);
    else if (i == 1)
        make_udp(fd);
    else
        make_pair(types[i - 2], fd);
}

static void set(int fd, bool mark, int value)
{
    if (mark)
        OK(setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value));
    else
        OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
}

void test(void)
{
    for (int i = 0; i < 6; i++) {
        bool mark = i == 5;
        int ep = new_epoll(), outer = new_epoll(), fd[2];
        make_sockets(mark ? 0 : i, fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
        ADD(ep, fd[1], EPOLLIN | EPOLLET, 2);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
        set(fd[1], mark, 30000);
        EXPECT_NONE(ep);
        set(fd[0], mark, 30000);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE(ep);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        set(fd[0], mark, 20000);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        set(fd[0], mark, 40000);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, EPOLLIN | EPOLLOUT);
        ADD(outer, ep, EPOLLIN | EPOLLET, 3);
        wait_events(outer, 0);
        EXPECT_NONE_NOW(outer);
        set(fd[0], mark, 50000);
        EXPECT_ONE(outer, 3, EPOLLIN);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    }
}

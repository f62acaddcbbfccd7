/* An arrival that is read at once, before the thread that sleeps in a wait can look, still wakes
 * the thread, which reports EPOLLOUT (E1, W4). */
#include "harness.h"

static void take_at_once(const char *name, int fd[2])
{
    subject = name;
    int ep = new_epoll();
    char buffer[64];
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 50; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        write_bytes(fd[1], 1);
        UNTIL(read(fd[0], buffer, sizeof buffer) == 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events & ~EPOLLIN, EPOLLOUT);
    }
    OK(close(ep));
    OK(close(fd[0]));
    OK(close(fd[1]));
}

void test(void)
{
    int fd[2];
    make_pair(SOCK_STREAM, fd);
    take_at_once("unix stream", fd);
    make_pair(SOCK_SEQPACKET, fd);
    take_at_once("unix seqpacket", fd);
    make_pair(SOCK_DGRAM, fd);
    take_at_once("unix dgram", fd);
    make_tcp(fd);
    take_at_once("tcp", fd);
}

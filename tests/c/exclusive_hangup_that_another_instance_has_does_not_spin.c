/* If two instances wait exclusively for a socket that is hung up, one gets the event, and a thread
 * that waits on the other sleeps (X1). */
#include "harness.h"

#define ALL (EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE | EPOLLET)

void test(void)
{
    int waiting = new_epoll(), other = new_epoll(), fd[2];
    make_pair(SOCK_DGRAM, fd);
    ADD(other, fd[0], EPOLLEXCLUSIVE | EPOLLET, 1);
    ADD(waiting, fd[0], ALL, 2);
    OK(shutdown(fd[0], SHUT_RDWR));
    CHECK_EQ(wait_events(other, 0).n, 1);
    CHECK_EQ(wait_events(waiting, 0).n, 1);
    int twin = OK(dup(fd[0]));
    ADD(other, twin, ALL, 3);
    char byte;
    CHECK_ERRNO(read(twin, &byte, 1), EAGAIN);
    EXPECT_ONE(other, 3, EPOLLIN | EPOLLOUT | EPOLLHUP);
    int64_t before = cpu_ns();
    wait_events(waiting, 300);
    CHECK(cpu_ns() - before < 50000000);
}

/* Urgent data is an edge for every event of the mask, even if a plain read steps over it before the
 * next wait (E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    char byte;
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLPRI | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(send(fd[1], "!", 1, MSG_OOB));
    UNTIL(poll(&(struct pollfd){.fd = fd[0], .events = POLLPRI}, 1, 0) == 1);
    CHECK_ERRNO(recv(fd[0], &byte, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(wait_events(ep, 300).n, 1);
}

/* Urgent data that a plain read stepped over adds no second edge to the next arrival (E2). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    char bytes[8];
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    OK(write(fd[1], "ab", 2));
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read(fd[0], bytes, sizeof bytes), 2);

    OK(send(fd[1], "!", 1, MSG_OOB));
    UNTIL(poll(&(struct pollfd){.fd = fd[0], .events = POLLPRI}, 1, 0) == 1);
    CHECK_ERRNO(recv(fd[0], bytes, sizeof bytes, MSG_DONTWAIT), EAGAIN);
    OK(write(fd[1], "cd", 2));
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE_NOW(ep);
}

/* An edge-triggered item whose number is closed keeps reporting each arrival through its dup (D2,
 * E1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
    int twin = OK(dup(fd[0]));
    OK(close(fd[0]));
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
    CHECK_EQ(read_all(twin), 3);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    write_bytes(fd[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    OK(close(fd[1]));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
    EXPECT_NONE(ep);
}

/* Setting SO_RCVLOWAT on a TCP connection that has that many bytes wakes its readers, whatever the
 * mark was before (E1). */
#include "harness.h"

static void set(int fd, int mark)
{
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark));
}

void test(void)
{
    int ep = new_epoll(), outer = new_epoll(), fd[2];
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    set(fd[0], 10);
    write_bytes(fd[1], 3);
    EXPECT_NONE(ep);
    set(fd[0], 2);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE(ep);
    set(fd[0], 2);
    EXPECT_ONE(ep, 1, EPOLLIN);
    set(fd[0], 20);
    EXPECT_NONE(ep);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    set(fd[0], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].events, EPOLLIN);
    ADD(outer, ep, EPOLLIN | EPOLLET, 2);
    wait_events(outer, 0);
    EXPECT_NONE_NOW(outer);
    set(fd[0], 1);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLIN);
}

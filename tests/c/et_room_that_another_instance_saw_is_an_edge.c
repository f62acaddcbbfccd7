/* Freed space on a TCP connection wakes every instance. If the first instance reports it and the
 * program fills it before the second one waits, the second reports the other high levels (E4, W4,
 * X1). */
#include "harness.h"

static int fd[2];

static void come_to_rest(int ep)
{
    while (wait_events(ep, QUIET_MS).n > 0)
        ;
}

/* A registration that is added, and one that is modified while a thread waits, find space that was
 * there before; this is not an edge for other instances. */
static void room_that_was_there(void)
{
    int first = new_epoll(), second = new_epoll();
    make_tcp(fd);
    ADD(first, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(first, 1, EPOLLOUT);
    int other = OK(dup(fd[0]));
    ADD(second, other, 0, 2);
    struct waiter waiter;
    start_waiter(&waiter, second);
    MOD(second, other, EPOLLOUT | EPOLLET, 2);
    CHECK_EQ(join_waiter(&waiter), 1);
    EXPECT_NONE_NOW(first);
}

void test(void)
{
    room_that_was_there();
    int first = new_epoll(), second = new_epoll();
    make_tcp(fd);
    write_bytes(fd[1], 1); /* stays unread */
    ADD(first, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    ADD(second, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 2);
    EXPECT_ONE(first, 1, EPOLLIN | EPOLLOUT);
    EXPECT_ONE(second, 2, EPOLLIN | EPOLLOUT);
    for (int round = 0; round < 3; round++) {
        struct pollfd room = {.fd = fd[0], .events = POLLOUT};
        do { /* under load a late acknowledgement can free space, reported once */
            fill(fd[0]);
            come_to_rest(first), come_to_rest(second);
        } while (poll(&room, 1, 0) == 1);
        UNTIL((read_all(fd[1]), poll(&room, 1, 0) == 1));
        EXPECT_ONE(first, 1, EPOLLIN | EPOLLOUT);
        fill(fd[0]);
        struct events told = wait_events(second, BOUND_MS);
        CHECK_EQ(told.n, 1);
        CHECK_EQ(told.at[0].data.u64, 2);
        CHECK_EQ(told.at[0].events & ~EPOLLOUT, EPOLLIN);
    }
}

/* The peer of a unix socket reads, then a thread that has waited on one instance ends: the room is
 * an edge of another instance, on which several threads have waited (E4). */
#include "harness.h"

static void try(int type)
{
    int fd[2], first = new_epoll(), second = new_epoll(), event = OK(eventfd(0, EFD_NONBLOCK));
    struct waiter waiter;

    OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fd));
    ADD(second, fd[0], EPOLLIN | EPOLLET, 2);
    write_bytes(fd[1], 1);
    ADD(first, fd[0], EPOLLOUT | EPOLLET, 1);
    ADD(first, event, EPOLLIN | EPOLLET, 3);
    EXPECT_ONE(first, 1, EPOLLOUT);

    start_waiter(&waiter, first);
    write_bytes(fd[0], 1);
    OK(eventfd_write(event, 1));
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 3);
    EXPECT_NONE_NOW(first);

    read_all(fd[1]);
    if (!start_waiter_or_not(&waiter, second))
        CHECK_EQ(join_waiter(&waiter), 1);
    EXPECT_ONE(first, 1, EPOLLOUT);
    OK(close(event));
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(second));
    OK(close(first));
}

void test(void)
{
    try(SOCK_STREAM);
    try(SOCK_SEQPACKET);
    try(SOCK_DGRAM);
}

/* The urgent byte of a unix stream socket is queued with the other bytes: its arrival is an edge,
 * taking it is not, and an arrival of the same size as the bytes taken is an edge (E1, E2). */
#include "harness.h"

static void urgent(int fd, const char *bytes)
{
    if (send(fd, bytes, strlen(bytes), MSG_OOB) < 0 && errno == EOPNOTSUPP)
        exit(77);
}

void test(void)
{
    int fd[2], ep = new_epoll(), outer = new_epoll();
    char byte;
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLPRI | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[1], 3);
        EXPECT_ONE(ep, 1, EPOLLIN);
        urgent(fd[1], "x");
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLPRI);
        CHECK_EQ(recv(fd[0], &byte, 1, MSG_OOB | MSG_PEEK), 1);
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(recv(fd[0], &byte, 1, MSG_OOB), 1);
        EXPECT_NONE(ep);
        CHECK_ERRNO(recv(fd[0], &byte, 1, MSG_OOB), EINVAL);
        EXPECT_NONE_NOW(ep);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        urgent(fd[1], "y");
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLPRI);
        urgent(fd[1], "z");
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLPRI);
        CHECK_EQ(recv(fd[0], &byte, 1, MSG_OOB), 1);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        while (read_all(fd[0]) > 0)
            ;
        EXPECT_NONE(ep);
    }
    struct waiter waiter;
    start_waiter(&waiter, ep);
    urgent(fd[1], "x");
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].events, EPOLLIN | EPOLLPRI);
    ADD(outer, ep, EPOLLIN | EPOLLET, 2);
    wait_events(outer, 0);
    CHECK_EQ(recv(fd[0], &byte, 1, MSG_OOB), 1);
    EXPECT_NONE(outer);
    urgent(fd[1], "x");
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLPRI);
}

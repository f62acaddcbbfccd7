/* A drain by a raw system call, which bypasses libc, is a drain: a refill with the same amount, by
 * a raw call too, is an edge (E1, E6). */
#include "bare.h"
#include "harness.h"

static long unseen(long number, int fd, char *bytes) { return bare(number, fd, (long)bytes, 8, 0, 0, 0); }

static void run(int fd[2])
{
    char bytes[8] = {1};
    int ep = new_epoll();
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(unseen(SYS_write, fd[1], bytes), 8);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(unseen(SYS_read, fd[0], bytes), 8);
    }

    /* Drained and refilled while a thread sleeps. */
    CHECK_EQ(unseen(SYS_write, fd[1], bytes), 8);
    EXPECT_ONE(ep, 1, EPOLLIN);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    CHECK_EQ(unseen(SYS_read, fd[0], bytes), 8);
    CHECK_EQ(unseen(SYS_write, fd[1], bytes), 8);
    CHECK_EQ(join_waiter(&waiter), 1);
}

void test(void)
{
    int fd[2];
    subject = "pipe";
    make_pipe(fd);
    run(fd);
    subject = "unix stream";
    make_pair(SOCK_STREAM, fd);
    run(fd);
    subject = "tcp";
    make_tcp(fd);
    run(fd);
    subject = "eventfd";
    fd[0] = fd[1] = OK(eventfd(0, EFD_NONBLOCK));
    run((int[2]){fd[0], fd[0]});
}

/* A registration waits for reading and for writing in turn, like that of a server whose answers are
 * sometimes too long. An event that the last mask does not ask for is never reported, ends no sleep
 * and costs no time; one that it asks for is reported (T6, W3). */
#include "harness.h"

static void send_until_full(int fd)
{
    char bytes[4096] = {0};
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
}

static void take_all(int fd)
{
    char bytes[65536];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
}

void test(void)
{
    int fd[2], stop[2], ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    make_pair(SOCK_STREAM, stop);
    ADD(ep, fd[0], EPOLLIN, 1);
    ADD(ep, stop[0], EPOLLIN, 9);
    for (int turn = 0; turn < 20; turn++) {
        EXPECT_NONE_NOW(ep);
        send_until_full(fd[0]);
        MOD(ep, fd[0], EPOLLOUT, 2);
        EXPECT_NONE_NOW(ep);
        write_bytes(fd[1], 1);
        EXPECT_NONE_NOW(ep);
        take_all(fd[1]);
        EXPECT_ONE(ep, 2, EPOLLOUT);
        MOD(ep, fd[0], EPOLLIN | EPOLLOUT, 3);
        EXPECT_ONE(ep, 3, EPOLLIN | EPOLLOUT);
        MOD(ep, fd[0], EPOLLIN, 4);
        EXPECT_ONE(ep, 4, EPOLLIN);
        take_all(fd[0]);

        /* Freed space does not wake a thread that waits for bytes. */
        struct waiter waiter;
        start_waiter(&waiter, ep);
        int64_t before = cpu_ns();
        for (int i = 0; i < 3; i++) {
            send_until_full(fd[0]);
            take_all(fd[1]);
        }
        wait_until_blocked(waiter.thread.tid);
        CHECK(cpu_ns() - before < 1000000000);
        CHECK(!waiter.done);
        write_bytes(turn % 2 ? fd[1] : stop[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, turn % 2 ? 4 : 9);
        CHECK_EQ(waiter.at[0].events, EPOLLIN);
        take_all(fd[0]);
        take_all(stop[0]);
    }
}

/* A daemon that forks twice and closes everything keeps working with its grandparent's instance or
 * with a new one (D5). */
#include "harness.h"

static int report[2];

static void grandchild(int ep, int reader, int writer, bool closes)
{
    if (closes) {
        closefrom(report[1] + 1);
        for (int fd = 3; fd < report[1]; fd++)
            close(fd);
        int fd[2];
        make_pipe(fd);
        ep = new_epoll();
        reader = fd[0];
        writer = fd[1];
        ADD(ep, reader, EPOLLIN | EPOLLET, 1);
    }
    for (int i = 0; i < 100; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        write_bytes(writer, 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 1);
        CHECK_EQ(read_all(reader), 1);
        EXPECT_NONE_NOW(ep);
    }
    write_bytes(report[1], 1);
    _exit(0);
}

void test(void)
{
    for (int closes = 0; closes < 2; closes++) {
        int fd[2], ep = new_epoll();
        make_pipe(fd);
        OK(pipe2(report, O_CLOEXEC));
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        pid_t child = OK(fork());
        if (child == 0) {
            OK(setsid());
            pid_t second = OK(fork());
            if (second == 0)
                grandchild(ep, fd[0], fd[1], closes);
            _exit(0);
        }
        expect_exit_0(child);
        struct pollfd p = {.fd = report[0], .events = POLLIN};
        OK(close(report[1]));
        CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
        char byte;
        CHECK_EQ(read(report[0], &byte, 1), 1);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        OK(close(report[0]));
        OK(close(fd[0]));
        OK(close(fd[1]));
        OK(close(ep));
    }
}

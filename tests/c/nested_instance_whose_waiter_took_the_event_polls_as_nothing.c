/* If a waiter took an event and the level is gone, poll() on the instance finds nothing and an
 * outer wait sleeps (N1, N2). */
#include "harness.h"

static int ep, fd[2];

static void *takes(void *arg)
{
    (void)arg;
    for (;;) {
        EXPECT_ONE(ep, 1, EPOLLIN);
        char byte;
        CHECK_EQ(read(fd[0], &byte, 1), 1);
        if (byte)
            return NULL;
    }
}

void test(void)
{
    struct thread thread;
    ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 1);
    struct pollfd p = {.fd = ep, .events = POLLIN};
    int left, outer = new_epoll();
    CHECK_EQ(poll(&p, 1, 0), 0);
    ADD(outer, ep, EPOLLIN, 2);
    for (int i = 0; i < 10; i++) {
        start_thread(&thread, takes, NULL);
        wait_until_blocked(thread.tid);
        CHECK_EQ(write(fd[1], "", 1), 1);
        UNTIL(ioctl(fd[0], FIONREAD, &left) == 0 && left == 0);
        wait_until_blocked(thread.tid);
        CHECK_EQ(poll(&p, 1, 0), 0);
        int64_t before = cpu_ns();
        EXPECT_NONE(outer);
        CHECK(cpu_ns() - before < 20000000);
        CHECK_EQ(poll(&p, 1, 0), 0);
        CHECK_EQ(write(fd[1], "x", 1), 1);
        join_thread(&thread);
        CHECK_EQ(poll(&p, 1, 0), 0);
    }
}

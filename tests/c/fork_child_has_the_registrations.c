/* A child of fork() has the instance and its registrations: waits work in the child and in the
 * parent (D5). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], go[2];
    make_pipe(fd);
    OK(pipe(go));
    ADD(ep, fd[0], EPOLLIN, 1);
    pid_t child = OK(fork());
    if (child == 0) {
        char byte;
        CHECK_EQ(read(go[0], &byte, 1), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_ONE(ep, 1, EPOLLIN);

        /* Registrations that the child adds itself work too. */
        int own = OK(eventfd(0, 0));
        ADD(ep, own, EPOLLIN, 2);
        add_one(own);
        struct events events = wait_events(ep, BOUND_MS);
        CHECK_EQ(events.n, 2);
        DEL(ep, own);

        /* Blocked, and woken by a thread of the child's own. */
        CHECK_EQ(read_all(fd[0]), 1);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        write_bytes(fd[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 1);
        _exit(0);
    }
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(write(go[1], "g", 1), 1);
    expect_exit_0(child);

    /* The child left a byte. */
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(fd[0]), 1);
    EXPECT_NONE_NOW(ep);
}

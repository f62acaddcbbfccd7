/* A child that is forked while another thread waits does not have that thread and can use the
 * instance; the thread keeps waiting (D5). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    for (int i = 0; i < 10; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            EXPECT_NONE_NOW(ep);

            /* An instance of the child's own. */
            int own = new_epoll(), event = OK(eventfd(0, 0));
            ADD(own, event, EPOLLIN, 2);
            struct waiter inner;
            start_waiter(&inner, own);
            add_one(event);
            CHECK_EQ(join_waiter(&inner), 1);
            _exit(0);
        }
        expect_exit_0(child);
    }
    wait_until_blocked(waiter.thread.tid);
    write_bytes(fd[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 1);
}

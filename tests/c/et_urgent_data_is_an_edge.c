/* A byte of urgent TCP data is a PRI edge, also on top of unread data and for a thread that sleeps
 * (E1, T5). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    char byte;
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLPRI | EPOLLET, 1);
    write_bytes(fd[1], 1);
    EXPECT_NONE(ep);
    for (int i = 0; i < 4; i++) {
        struct waiter waiter;
        if (i % 2)
            start_waiter(&waiter, ep);
        CHECK_EQ(send(fd[1], "!", 1, MSG_OOB), 1);
        if (i % 2)
            CHECK_EQ(join_waiter(&waiter), 1);
        else
            EXPECT_ONE(ep, 1, EPOLLPRI);
        CHECK_EQ(recv(fd[0], &byte, 1, MSG_OOB), 1);
        read_all(fd[0]);
        EXPECT_NONE_NOW(ep);
    }

    /* The next urgent byte is an edge too, while the first is unread. */
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send(fd[1], "!", 1, MSG_OOB), 1);
        EXPECT_ONE(ep, 1, EPOLLPRI);
        EXPECT_NONE_NOW(ep);
    }
}

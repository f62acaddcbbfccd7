/* An item that was silent for long, and whose number was closed and reused, reports arrivals
 * through its dup (D2, D3, E6). */
#include "harness.h"

#define ITEMS 200

void test(void)
{
    int ep = new_epoll(), busy = OK(eventfd(1, EFD_NONBLOCK)), fd[ITEMS][2], reused[2];
    for (int i = 0; i < ITEMS; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], EPOLLIN, i);
    }
    ADD(ep, busy, EPOLLIN, 999);
    for (int i = 10; i < ITEMS; i += 60) {
        for (int k = 0; k < 1500; k++)
            EXPECT_ONE(ep, 999, EPOLLIN);
        MOD(ep, busy, 0, 999);
        int twin = OK(dup(fd[i][0]));
        OK(close(fd[i][0]));
        make_pipe(reused);
        CHECK_EQ(reused[0], fd[i][0]);
        EXPECT_NONE_NOW(ep);

        /* Another silent item becomes ready in between. */
        write_bytes(fd[i + 1][1], 1);
        EXPECT_ONE(ep, i + 1, EPOLLIN);
        CHECK_EQ(read_all(fd[i + 1][0]), 1);
        EXPECT_NONE(ep);

        write_bytes(fd[i][1], 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(twin), 1);
        write_bytes(reused[1], 1);
        EXPECT_NONE(ep);
        MOD(ep, busy, EPOLLIN, 999);
    }
}

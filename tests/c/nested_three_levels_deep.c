/* An event passes up through three instances, to a wait, a blocked wait and a poll; a drain at the
 * bottom empties all of them (N1, N2). */
#include "harness.h"

void test(void)
{
    int ep[4], fd[2];
    make_pipe(fd);
    for (int i = 0; i < 4; i++)
        ep[i] = new_epoll();
    ADD(ep[0], fd[0], EPOLLIN, 0);
    for (int i = 1; i < 4; i++)
        ADD(ep[i], ep[i - 1], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    for (int round = 0; round < 5; round++) {
        struct waiter waiter;
        start_waiter(&waiter, ep[3]);
        write_bytes(fd[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 3);
        for (int i = 2; i >= 0; i--) {
            struct pollfd p = {.fd = ep[i], .events = POLLIN};
            CHECK_EQ(poll(&p, 1, 0), 1);
            EXPECT_ONE(ep[i], i, EPOLLIN);
        }
        CHECK_EQ(read_all(fd[0]), 1);
        for (int i = 0; i < 4; i++)
            EXPECT_NONE_NOW(ep[i]);
    }
}

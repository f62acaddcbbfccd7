/* One arrival on a descriptor that several instances watch is reported by each of them, in every
 * mode (X1). */
#include "harness.h"

void test(void)
{
    uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLOUT};
    int ep[4], fd[2];
    make_pair(SOCK_STREAM, fd);
    for (int i = 0; i < 4; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], fd[0], modes[i], i);
    }
    EXPECT_ONE(ep[3], 3, EPOLLOUT);
    MOD(ep[3], fd[0], EPOLLIN, 3);
    for (int round = 0; round < 3; round++) {
        struct waiter waiters[4];
        for (int i = 0; i < 4; i++)
            start_waiter(&waiters[i], ep[i]);
        write_bytes(fd[1], 1);
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(join_waiter(&waiters[i]), 1);
            CHECK_EQ(waiters[i].at[0].data.u64, i);
        }
        CHECK_EQ(read_all(fd[0]), 1);
        MOD(ep[2], fd[0], modes[2], 2);
    }
    for (int i = 0; i < 4; i++)
        EXPECT_NONE_NOW(ep[i]);
}

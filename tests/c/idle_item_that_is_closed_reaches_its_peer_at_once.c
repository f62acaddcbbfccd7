/* Of two thousand idle items some are closed while a thread waits: their peers see the close at
 * once (D4). */
#include "harness.h"

#define ITEMS 2000

void test(void)
{
    static int fd[ITEMS][2];
    raise_descriptor_limit();
    int ep = new_epoll();
    for (int i = 0; i < ITEMS; i++) {
        if (i % 2)
            make_pair(SOCK_STREAM, fd[i]);
        else {
            OK(pipe2(fd[i], O_NONBLOCK));
            int reader = fd[i][0];
            fd[i][0] = fd[i][1];
            fd[i][1] = reader;
        }
        ADD(ep, fd[i][0], i % 4 < 2 ? EPOLLIN : EPOLLIN | EPOLLRDHUP | EPOLLET, i);
    }
    for (int i = 0; i < 50; i++)
        EXPECT_NONE_NOW(ep);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    for (int n = 2; n < ITEMS; n += 37) {
        OK(close(fd[n][0]));
        expect_eof_at_once(fd[n][1]);
    }
    CHECK(!atomic_load(&waiter.done));
    write_bytes(fd[1][1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 1);
}

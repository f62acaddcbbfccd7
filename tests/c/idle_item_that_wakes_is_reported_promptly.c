/* Among two thousand idle items, one that becomes active wakes a sleeping thread within 200 ms (W3,
 * W4). */
#include "harness.h"

#define ITEMS 2000

void test(void)
{
    static int fd[ITEMS][2];
    raise_descriptor_limit();
    int ep = new_epoll();
    for (int i = 0; i < ITEMS; i++) {
        make_pair(SOCK_STREAM, fd[i]);
        ADD(ep, fd[i][0], EPOLLIN | (i % 2 ? EPOLLET : 0), i);
    }

    /* Some items are active for a while, so that the others have been idle for long. */
    for (int i = 0; i < 100; i++) {
        int n = 10 + i % 5;
        write_bytes(fd[n][1], 1);
        EXPECT_ONE(ep, n, EPOLLIN);
        read_all(fd[n][0]);
    }
    for (int n = 1; n < ITEMS; n += 199) {
        bool prompt = false;
        for (int attempt = 0; !prompt; attempt++) {
            struct waiter waiter;
            int item = (n + attempt) % ITEMS;
            start_waiter(&waiter, ep);
            int64_t start = now_ns();
            write_bytes(fd[item][1], 1);
            CHECK_EQ(join_waiter(&waiter), 1);
            prompt = TOOK_LESS(attempt, start, 200);
            CHECK_EQ(waiter.at[0].data.u64, item);
            read_all(fd[item][0]);
        }
    }
}

/* One thread adds many registrations, edge- and level-triggered, and deletes some of them before
 * another thread waits. Each remaining one is reported, with the data that it was added with, and
 * the others are not (T6, W3, W4). */
#include "harness.h"

#define MANY 300

void test(void)
{
    static int near[MANY], far[MANY];
    raise_descriptor_limit();
    int ep = new_epoll();
    for (int i = 0; i < MANY; i++) {
        int fd[2];
        make_pair(SOCK_STREAM, fd);
        near[i] = fd[0], far[i] = fd[1];
        if (i % 2)
            write_bytes(far[i], 1);
        ADD(ep, near[i], EPOLLIN | (i % 3 ? EPOLLET : 0), (uint64_t)i);
    }
    for (int i = 0; i < MANY; i += 5)
        DEL(ep, near[i]);
    for (int round = 0; round < 2; round++) {
        bool seen[MANY] = {false};
        int wanted = 0, found = 0;
        for (int i = 0; i < MANY; i++)
            wanted += i % 5 && (round || i % 2);
        while (found < wanted) {
            struct waiter waiter;
            start_waiter_or_not(&waiter, ep);
            int n = join_waiter(&waiter);
            for (int k = 0; k < n; k++) {
                uint64_t i = waiter.at[k].data.u64;
                CHECK(i < MANY && i % 5 && (round || i % 2));
                CHECK_EQ(waiter.at[k].events, EPOLLIN);
                CHECK(!seen[i] || i % 3 == 0);
                found += !seen[i];
                seen[i] = true;
            }
        }
        for (int i = 0; i < MANY; i++) {
            char bytes[8];
            if (i % 5 && (round || i % 2))
                CHECK(read(near[i], bytes, sizeof bytes) >= 1);
        }
        EXPECT_NONE_NOW(ep);
        for (int i = 0; round == 0 && i < MANY; i++)
            write_bytes(far[i], 1);
    }
}

/* Twenty thousand instances, each used and closed, leak no memory and no descriptors (C3, D1). */
#include "harness.h"

void test(void)
{
    int fd = OK(eventfd(1, 0));
    long before = 0;
    int descriptors = 0;
    for (int i = 0; i < 20000; i++) {
        int ep = new_epoll();
        ADD(ep, fd, i & 1 ? EPOLLIN : EPOLLIN | EPOLLET, i);
        if (i & 2)
            EXPECT_ONE(ep, i, EPOLLIN);
        OK(close(ep));
        if (i == 1000) {
            before = resident_kb();
            descriptors = open_descriptors();
        }
    }
    CHECK(resident_kb() - before < 2048);
    CHECK_EQ(open_descriptors(), descriptors);
}

/* A periodic timerfd that is not read is one edge; after a read, it is an edge again (E5). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec every = {{0, 5000000}, {0, 5000000}};
    uint64_t ticks;
    ADD(ep, timer, EPOLLIN | EPOLLET, 1);
    OK(timerfd_settime(timer, 0, &every, NULL));
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE(ep);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(read(timer, &ticks, 8), 8);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    EXPECT_NONE(ep);
}

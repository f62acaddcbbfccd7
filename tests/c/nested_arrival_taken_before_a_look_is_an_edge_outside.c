/* An arrival in an inner instance is an edge of the outer one, even if it was read before any look,
 * if another item is ready inside (N2). */
#include "harness.h"

void test(void)
{
    int outer = new_epoll(), inner = new_epoll(), stays = OK(eventfd(1, EFD_NONBLOCK)), fd[2];
    make_pipe(fd);
    ADD(inner, stays, EPOLLIN, 1);
    ADD(inner, fd[0], EPOLLIN, 2);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    write_bytes(fd[1], 1);
    CHECK_EQ(read_all(fd[0]), 1);
    CHECK_EQ(wait_events(outer, 500).n, 1);

    int timer = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    ADD(inner, timer, EPOLLIN, 4);
    EXPECT_NONE_NOW(outer);
    for (int i = 0; i < 2; i++) {
        struct itimerspec soon = {.it_value.tv_nsec = 1};
        uint64_t expirations;
        OK(timerfd_settime(timer, 0, &soon, NULL));
        CHECK_EQ(read(timer, &expirations, sizeof expirations), sizeof expirations);
        EXPECT_ONE(outer, 3, EPOLLIN);
        EXPECT_NONE_NOW(outer);
    }

    /* The number by which it is polled may also be closed in between. */
    int pair[2], twin;
    make_tcp(pair);
    twin = OK(dup(pair[0]));
    ADD(inner, pair[0], EPOLLIN | EPOLLOUT, 5);
    EXPECT_ONE(outer, 3, EPOLLIN);
    write_bytes(pair[1], 1);
    EXPECT_ONE(outer, 3, EPOLLIN);
    write_bytes(pair[1], 1);
    CHECK_EQ(read_all(twin), 2);
    OK(close(pair[0]));
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
}

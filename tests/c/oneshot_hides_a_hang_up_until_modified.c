/* A spent one-shot item does not even report ERR or HUP; MOD reports them (W5). */
#include "harness.h"

void test(void)
{
    for (int edge = 0; edge < 2; edge++) {
        uint32_t once = EPOLLONESHOT | (edge ? EPOLLET : 0);
        int ep = new_epoll(), pair[2], pipes[2];
        make_pair(SOCK_STREAM, pair);
        make_pipe(pipes);
        ADD(ep, pair[0], EPOLLIN | once, 1);
        ADD(ep, pipes[1], EPOLLOUT | once, 2);
        write_bytes(pair[1], 1);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 2);

        /* Spent; now both other ends close. */
        OK(close(pair[1]));
        OK(close(pipes[0]));
        EXPECT_NONE(ep);
        MOD(ep, pair[0], EPOLLIN | EPOLLRDHUP | once, 3);
        EXPECT_ONE(ep, 3, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
        EXPECT_NONE_NOW(ep);
        MOD(ep, pipes[1], once, 4);
        EXPECT_ONE(ep, 4, EPOLLERR);
        EXPECT_NONE(ep);
    }
}

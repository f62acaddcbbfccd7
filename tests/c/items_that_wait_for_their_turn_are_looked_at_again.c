/* If more items are ready than the buffer holds, the rest are reported later, in order (W3). An
 * item whose state has changed by then is not reported as it was (W7). An item that becomes ready
 * meanwhile is reported before any item that was reported after it became ready is reported
 * again. */
#include "harness.h"

enum { PIPES = 6 };

static void expect_next(int ep, const uint64_t *order, int n)
{
    for (int i = 0; i < n; i++) {
        struct epoll_event e;
        CHECK_EQ(wait_by(WAIT, ep, &e, 1, 0, NULL), 1);
        CHECK_EQ(e.data.u64, order[i]);
        CHECK_EQ(e.events, EPOLLIN);
    }
}
#define EXPECT_NEXT(ep, ...)                                                                                           \
    expect_next(ep, (uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void expect_two(int ep, uint64_t first, uint64_t second)
{
    struct events events = wait_at_most(ep, 2, 0);
    CHECK_EQ(events.n, 2);
    CHECK_EQ(events.at[0].data.u64, first);
    CHECK_EQ(events.at[1].data.u64, second);
}

void test(void)
{
    int ep = new_epoll(), fd[PIPES + 1][2];
    char byte;
    for (int i = 1; i <= PIPES; i++) {
        OK(pipe(fd[i]));
        ADD(ep, fd[i][0], EPOLLIN, i);
    }
    for (int i = 1; i <= 4; i++)
        OK(write(fd[i][1], "x", 1));

    /* All four are on the list, in this order; the fifth is added after the first was reported. */
    EXPECT_NEXT(ep, 1);
    OK(write(fd[5][1], "x", 1));
    EXPECT_NEXT(ep, 2, 3, 4, 1, 5, 2, 3, 4, 1, 5);

    /* An item whose level fell, a deleted one, and one with another mask. */
    OK(read(fd[3][0], &byte, 1));
    EXPECT_NEXT(ep, 2, 4, 1, 5, 2);
    DEL(ep, fd[4][0]);
    EXPECT_NEXT(ep, 1, 5, 2);
    MOD(ep, fd[5][0], EPOLLPRI, 5);
    EXPECT_NEXT(ep, 1, 2, 1, 2);

    /* Two at a time. */
    MOD(ep, fd[5][0], EPOLLIN, 5);
    expect_two(ep, 1, 2);
    expect_two(ep, 5, 1);
    OK(write(fd[6][1], "x", 1));
    expect_two(ep, 2, 5);
    expect_two(ep, 1, 6);

    /* A one-shot and an edge-triggered item among them are reported once. */
    MOD(ep, fd[1][0], EPOLLIN | EPOLLONESHOT, 1);
    MOD(ep, fd[2][0], EPOLLIN | EPOLLET, 2);
    EXPECT_NEXT(ep, 2, 5, 1, 6, 5, 6);
}

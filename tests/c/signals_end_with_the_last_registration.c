/* A description that was watched is as it was before when its last registration has ended, by DEL or
 * by the close of the instance: it has no O_ASYNC, as the kernel sees it, and arrivals queue no
 * signals (differences.md, "With signals"). */
#include "fdinfo.h"

#define N 12

static int fd[N][2];

static int asynchronous(int first)
{
    int number = 0;
    for (int i = first; i < N; i++)
        number += is_async(fd[i][0]);
    return number;
}

/* One event for each arrival. */
static void be_active(int ep, int first, int rounds)
{
    for (int round = 0; round < rounds; round++)
        for (int i = first; i < N; i++) {
            write_bytes(fd[i][1], 1);
            EXPECT_ONE(ep, i, EPOLLIN);
            CHECK_EQ(read_all(fd[i][0]), 1);
        }
}

void test(void)
{
    int ep = new_epoll(), second = new_epoll();
    for (int i = 0; i < N; i++) {
        make_tcp(fd[i]);
        ADD(ep, fd[i][0], EPOLLIN | EPOLLET, i);
    }
    const char *poller = getenv("EPOLYFILL_POLLER");
    bool uses_signals = poller != NULL && (strcmp(poller, "auto") == 0 || strcmp(poller, "signal") == 0);
    be_active(ep, 0, 20);
    CHECK(!uses_signals || asynchronous(0) == N);
    /* A registration in another instance keeps the description as it is. */
    ADD(second, fd[0][0], EPOLLIN | EPOLLET, 0);
    for (int i = 0; i < N / 2; i++)
        DEL(ep, fd[i][0]);
    for (int i = 1; i < N / 2; i++)
        CHECK(!is_async(fd[i][0]));
    CHECK_EQ(asynchronous(N / 2), uses_signals ? N - N / 2 : 0);
    write_bytes(fd[0][1], 1);
    EXPECT_ONE(second, 0, EPOLLIN);
    be_active(ep, N / 2, 2);
    OK(close(ep));
    CHECK_EQ(asynchronous(1), 0);
    OK(close(second));
    CHECK_EQ(asynchronous(0), 0);
}

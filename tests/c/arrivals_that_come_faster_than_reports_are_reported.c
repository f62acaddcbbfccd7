/* Descriptors on which several arrivals come for each report are reported all the same, level- and
 * edge-triggered, beside others on which one comes (E1, W3). If descriptors send signals, a TCP
 * connection among these with edges sends none for a while, and sends them again when one arrival
 * comes for each report. */
#include "fdinfo.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define N 6

static int ep, fd[N][2];

static void arrive_and_report(int arrivals)
{
    for (int k = 0; k < arrivals; k++)
        for (int i = 0; i < N; i++)
            if (k == 0 || i < N - 2)
                write_bytes(fd[i][1], 1);
    int seen[N] = {0};
    for (int n = 0; n < N; n++) {
        struct events events = wait_at_most(ep, 1, BOUND_MS);
        CHECK_EQ(events.n, 1);
        int i = events.at[0].data.u64;
        CHECK_EQ(seen[i]++, 0);
        CHECK_EQ(events.at[0].events, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), i < N - 2 ? arrivals : 1);
    }
    EXPECT_NONE_NOW(ep);
}

void test(void)
{
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        if (i % 3 == 2) {
            make_pipe(fd[i]);
        } else {
            make_tcp(fd[i]);
            OK(setsockopt(fd[i][1], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
        }
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    /* With EPOLYFILL_POLLER=auto a description sends signals after a few reports. */
    for (int round = 0; round < 20; round++)
        arrive_and_report(1);
    bool by_signals = is_async(fd[0][0]), has_rested[N] = {false};
    for (int round = 0; round < 400; round++) {
        arrive_and_report(round < 100 ? 2 : 5);
        for (int i = 0; i < N; i++)
            has_rested[i] |= by_signals && !is_async(fd[i][0]);
    }
    CHECK_EQ(has_rested[0], by_signals);
    CHECK(!has_rested[N - 2]);
    for (int round = 0; round < 600; round++)
        arrive_and_report(1);
    CHECK_EQ(is_async(fd[0][0]), by_signals);
    CHECK_EQ(is_async(fd[N - 2][0]), by_signals);
}

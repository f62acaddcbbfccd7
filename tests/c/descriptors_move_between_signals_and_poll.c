/* Descriptors that fall silent, are busy for a while, or are active now and then, level- and
 * edge-triggered, among many: each arrival is one event, and nothing else is (W3, W4, E1). With
 * EPOLYFILL_POLLER=auto, where the kernel refuses io_uring, those that stay silent are made to send
 * signals, and those that are reported again and again are polled. */
#include "fdinfo.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

enum { PIPE, TCP, UNIX, KINDS, N = 60 };

static int ep, fd[N][2];

/* How many of the descriptions have O_ASYNC. */
static int asynchronous(void)
{
    int number = 0;
    for (int i = 0; i < N; i++)
        number += is_async(fd[i][0]);
    return number;
}

static void make(int i)
{
    switch (i % KINDS) {
    case PIPE:
        make_pipe(fd[i]);
        break;
    case TCP:
        make_tcp(fd[i]);
        OK(setsockopt(fd[i][1], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
        break;
    case UNIX:
        make_pair(SOCK_STREAM, fd[i]);
    }
    ADD(ep, fd[i][0], i / KINDS % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
}

/* An arrival on some descriptors is one event on each; if it is read only later, the level shows
 * until then, and the edge does not. */
static void arrive(const int *at, int number, bool reads_late)
{
    bool due[N] = {false};
    for (int k = 0; k < number; k++) {
        write_bytes(fd[at[k]][1], 1);
        due[at[k]] = true;
    }
    for (int k = 0; k < number;) {
        struct events events = wait_events(ep, BOUND_MS);
        CHECK(events.n > 0);
        for (int e = 0; e < events.n; e++) {
            int i = events.at[e].data.u64;
            CHECK_EQ(events.at[e].events, EPOLLIN);
            if (due[i])
                k++;
            else
                CHECK(reads_late && i / KINDS % 2);
            due[i] = false;
            if (!reads_late)
                CHECK_EQ(read_all(fd[i][0]), 1);
        }
    }
    for (int k = 0; reads_late && k < number; k++)
        CHECK_EQ(read_all(fd[at[k]][0]), 1);
    EXPECT_NONE_NOW(ep);
}

/* The same few descriptors, again and again, until the others have been silent for long. */
static void be_busy(int first)
{
    for (int round = 0; round < 200; round++)
        arrive((int[]){first, first + 1, first + 2, first + KINDS, first + KINDS + 1, first + KINDS + 2}, 6, round % 8 == 7);
}

void test(void)
{
    ep = new_epoll();
    for (int i = 0; i < N; i++)
        make(i);
    const char *poller = getenv("EPOLYFILL_POLLER");
    bool chooses = poller != NULL && strcmp(poller, "auto") == 0;
    for (int first = 0; first < N; first += 2 * KINDS) {
        be_busy(first);
        /* All but the busy ones. */
        CHECK(!chooses || asynchronous() >= N - 4 * KINDS);
        for (int i = 0; i < N; i++)
            arrive(&i, 1, i % 2);
        /* The last few that were polled, too. */
        CHECK(!chooses || asynchronous() > N - KINDS);
    }
    /* A close, and another description of the same number. */
    for (int i = 0; i < N; i += 7) {
        OK(close(fd[i][0]));
        OK(close(fd[i][1]));
        make(i);
    }
    be_busy(0);
    for (int i = 0; i < N; i++)
        arrive(&i, 1, i % 2);
}

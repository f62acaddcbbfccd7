/* Many items, of which some were ready in the wait before, some become ready, and some are taken
 * again before the wait: each wait reports those that are ready, level-triggered ones by their
 * present level and edge-triggered ones after an arrival, and no others (W3, W4, W7), also if the
 * array has room for some of them only. With signals, one poll looks at the polled items and at those
 * that signals have woken; more of them may be ready than such a poll looks at. */
#include "harness.h"

enum { N = 60, LEVEL = 40, WAITS = 4000, UNTIL_SILENT = 80 };

static int ep, fd[N][2];
static int unread[N];
static bool arrived[N];

/* The numbers that a linear congruential generator gives. */
static unsigned number_below(unsigned bound)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return (state >> 16) % bound;
}

static bool is_edge(int i)
{
    return i >= LEVEL;
}

static bool is_due(int i)
{
    return unread[i] > 0 && (!is_edge(i) || arrived[i]);
}

static void put(int i)
{
    write_bytes(fd[i][1], 1);
    unread[i]++;
    arrived[i] = true;
}

static void take_all(int i)
{
    if (unread[i] > 0)
        CHECK_EQ(read_all(fd[i][0]), unread[i]);
    unread[i] = 0;
}

/* One wait with room for `room` events. */
static void expect_present_levels(int room)
{
    int due = 0;
    for (int i = 0; i < N; i++)
        due += is_due(i);
    struct events events = wait_at_most(ep, room, 0);
    CHECK_EQ(events.n, due < room ? due : room);
    bool seen[N] = {false};
    for (int e = 0; e < events.n; e++) {
        int i = events.at[e].data.u64;
        CHECK(is_due(i) && !seen[i]);
        CHECK_EQ(events.at[e].events, EPOLLIN);
        seen[i] = true;
    }
    /* A wait forgets the edges of what was taken again before it, once their turn has come. */
    for (int i = 0; i < N; i++)
        if (seen[i] || (events.n < room && is_edge(i)))
            arrived[i] = false;
}

void test(void)
{
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        if (i % 2)
            make_pipe(fd[i]);
        else
            make_pair(SOCK_STREAM, fd[i]);
        ADD(ep, fd[i][0], is_edge(i) ? EPOLLIN | EPOLLET : EPOLLIN, i);
    }
    for (int wait = 0; wait < UNTIL_SILENT; wait++) {
        put(0);
        expect_present_levels(N);
        take_all(0);
    }
    for (int wait = 0; wait < WAITS; wait++) {
        /* Now and then more are ready than one poll looks at beside the polled ones. */
        int arrivals = wait % 20 ? number_below(4) : N / 2;
        for (int k = 0; k < arrivals; k++)
            put(number_below(N));
        for (int i = 0; i < N; i++)
            if (unread[i] > 0 && number_below(2))
                take_all(i);
        expect_present_levels(wait % 7 ? N : 1 + number_below(4));
    }
}

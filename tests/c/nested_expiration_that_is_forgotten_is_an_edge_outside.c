/* The expiration of a timer in an inner instance is an edge of the outer one, even if the timer was
 * read or set again before any look, if another item is ready inside. Setting a timer is not an
 * edge, and a timer's key is EPOLLIN alone (N2). */
#include "harness.h"

static int outer, inner, ready, timer;

static void set(long ns)
{
    struct itimerspec when = {.it_value.tv_nsec = ns};
    OK(timerfd_settime(timer, 0, &when, NULL));
}

static void expire(void)
{
    struct pollfd entry = {.fd = timer, .events = POLLIN};
    set(1);
    CHECK_EQ(poll(&entry, 1, BOUND_MS), 1);
}

static void take(void)
{
    uint64_t expirations;
    CHECK_EQ(read(timer, &expirations, sizeof expirations), sizeof expirations);
}

static void expect_edge(bool edge)
{
    if (edge)
        EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
}

static void expirations(uint32_t mask, bool edge)
{
    outer = new_epoll(), inner = new_epoll(), ready = OK(eventfd(1, EFD_NONBLOCK));
    timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    ADD(inner, ready, EPOLLIN, 1);
    ADD(inner, timer, mask, 2);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    expect_edge(true);
    set(900000000), set(0);
    expect_edge(false);
    expire(), take();
    expect_edge(edge);
    expire(), set(0);
    expect_edge(edge);
    expire();
    expect_edge(edge);
    set(0);
    expect_edge(false);
    expire();
    expect_edge(edge);
    take();
    expect_edge(false);
    expire();
    expect_edge(edge);
    expire(), take();
    expect_edge(edge);
    OK(close(outer)), OK(close(inner)), OK(close(ready)), OK(close(timer));
}

void test(void)
{
    expirations(EPOLLIN, true);
    expirations(EPOLLRDNORM, false);
}

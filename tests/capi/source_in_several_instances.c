/* A source works in several instances, under several numbers, exclusively, and in nested
 * instances. */
#include "capi.h"

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return OK(poll(&p, 1, 0));
}

static void in_many(void)
{
    int ep[3], source = OK(epolyfill_source_new(0)), twin = OK(dup(source));
    for (int i = 0; i < 3; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], source, i ? EPOLLIN | EPOLLET : EPOLLIN, i);
    }
    ADD(ep[0], twin, EPOLLIN | EPOLLET, 3);
    OK(epolyfill_source_post(twin, EPOLLIN));
    struct epoll_event at[4];
    CHECK_EQ(epoll_wait(ep[0], at, 4, BOUND_MS), 2);
    EXPECT_ONE(ep[0], 0, EPOLLIN);
    EXPECT_ONE(ep[1], 1, EPOLLIN);
    EXPECT_NONE_NOW(ep[1]);
    EXPECT_ONE(ep[2], 2, EPOLLIN);
    /* The number is closed, but the source lives on. */
    OK(close(source));
    OK(epolyfill_source_post(twin, EPOLLIN));
    EXPECT_ONE(ep[1], 1, EPOLLIN);
    CHECK_EQ(epoll_wait(ep[0], at, 4, BOUND_MS), 2);
    OK(epolyfill_source_close(twin));
    for (int i = 0; i < 3; i++) {
        EXPECT_NONE_NOW(ep[i]);
        OK(close(ep[i]));
    }
}

/* One of several exclusive registrations reports a post; the next post goes to one whose thread is
 * free. */
static void exclusively(uint32_t event)
{
    enum { N = 3 };
    int ep[N], source = OK(epolyfill_source_new(0));
    for (int i = 0; i < N; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], source, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, i);
    }
    struct waiter waiter[N];
    for (int i = 0; i < N; i++)
        start_waiter(&waiter[i], ep[i]);
    for (int left = N; left > 0; left--) {
        OK(epolyfill_source_post(source, event));
        int done = 0;
        for (int ms = 0; ms < BOUND_MS && done < N - left + 1; ms++) {
            done = 0;
            for (int i = 0; i < N; i++)
                done += atomic_load(&waiter[i].done);
            usleep(1000);
        }
        usleep(1000 * QUIET_MS);
        done = 0;
        for (int i = 0; i < N; i++)
            done += atomic_load(&waiter[i].done);
        CHECK_EQ(done, N - left + 1);
        OK(epolyfill_source_clear(source, event));
    }
    for (int i = 0; i < N; i++) {
        CHECK_EQ(join_waiter(&waiter[i]), 1);
        OK(close(ep[i]));
    }
    OK(close(source));
}

static void inside(uint32_t inner_how, uint32_t outer_how)
{
    int inner = new_epoll(), outer = new_epoll(), source = OK(epolyfill_source_new(0));
    ADD(inner, source, EPOLLIN | inner_how, 1);
    ADD(outer, inner, EPOLLIN | outer_how, 2);
    EXPECT_NONE_NOW(outer);
    CHECK_EQ(is_readable(inner), 0);
    OK(epolyfill_source_post(source, EPOLLIN));
    CHECK_EQ(is_readable(inner), 1);
    EXPECT_ONE(outer, 2, EPOLLIN);
    if (outer_how) {
        EXPECT_NONE_NOW(outer);
        OK(epolyfill_source_post(source, EPOLLIN));
        EXPECT_ONE(outer, 2, EPOLLIN);
        EXPECT_NONE_NOW(outer);
    } else {
        EXPECT_ONE(outer, 2, EPOLLIN);
    }
    /* A bit that the inner mask lacks is not reported outside. */
    OK(epolyfill_source_post(source, EPOLLOUT));
    if (outer_how)
        EXPECT_NONE_NOW(outer);
    OK(epolyfill_source_clear(source, EPOLLIN));
    EXPECT_NONE_NOW(outer);
    CHECK_EQ(is_readable(inner), 0);
    struct waiter waiter;
    start_waiter(&waiter, outer);
    OK(epolyfill_source_post(source, EPOLLIN));
    CHECK_EQ(join_waiter(&waiter), 1);
    start_waiter_or_not(&waiter, inner);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 1);
    OK(epolyfill_source_clear(source, EPOLLIN));
    EXPECT_NONE_NOW(inner);
    EXPECT_NONE_NOW(outer);
    OK(close(source));
    OK(close(inner));
    OK(close(outer));
}

/* While a thread waits inside, a look from outside shows only posted bits, whatever the level of
 * the descriptor behind the source. */
static void waited_for_inside(void)
{
    int inner = new_epoll(), outer = new_epoll(), source = OK(epolyfill_source_new(0));
    ADD(inner, source, EPOLLOUT, 1);
    ADD(outer, inner, EPOLLIN, 2);
    struct waiter waiter;
    start_waiter(&waiter, inner);
    CHECK_EQ(is_readable(inner), 0);
    EXPECT_NONE_NOW(outer);
    OK(epolyfill_source_post(source, EPOLLOUT));
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(is_readable(inner), 1);
    EXPECT_ONE(outer, 2, EPOLLIN);
    OK(close(source));
    OK(close(inner));
    OK(close(outer));
}

void test(void)
{
    in_many();
    exclusively(EPOLLIN);
    exclusively(EPOLLHUP);
    waited_for_inside();
    for (int ways = 0; ways < 4; ways++)
        inside(ways & 1 ? EPOLLET : 0, ways & 2 ? EPOLLET : 0);
}

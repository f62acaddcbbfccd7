/* A bit posted on a source is reported like that of any descriptor: level, edge and one-shot,
 * according to the mask, until it is cleared. */
#include "capi.h"

static int ep, source;

static void post(uint32_t events) { OK(epolyfill_source_post(source, events)); }
static void clear(uint32_t events) { OK(epolyfill_source_clear(source, events)); }

static void level(void)
{
    ADD(ep, source, EPOLLIN | EPOLLOUT, 1);
    EXPECT_NONE_NOW(ep);
    post(EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLIN);
    post(EPOLLOUT);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    clear(EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    clear(EPOLLOUT);
    EXPECT_NONE(ep);
    /* The same after many empty waits, which make a wait sleep without a look first. */
    struct epoll_event none;
    for (int i = 0; i < 40; i++)
        CHECK_EQ(epoll_wait(ep, &none, 1, 1), 0);
    post(EPOLLIN);
    for (int i = 0; i < 5; i++)
        EXPECT_ONE(ep, 1, EPOLLIN);
    clear(EPOLLIN);
    /* A bit that is cleared before any look is not reported. */
    post(EPOLLIN);
    clear(EPOLLIN);
    EXPECT_NONE(ep);
    /* Bits that are not in the mask; then bits that are reported unasked. */
    post(EPOLLPRI | EPOLLRDHUP);
    EXPECT_NONE(ep);
    post(EPOLLERR | EPOLLHUP);
    EXPECT_ONE(ep, 1, EPOLLERR | EPOLLHUP);
    CHECK_EQ(epolyfill_source_events(source), EPOLLPRI | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
    MOD(ep, source, EPOLLPRI | EPOLLRDHUP, 2);
    EXPECT_ONE(ep, 2, EPOLLPRI | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
    clear(EPOLLPRI | EPOLLRDHUP | EPOLLERR | EPOLLHUP | EPOLLIN);
    CHECK_EQ(epolyfill_source_events(source), 0);
    EXPECT_NONE_NOW(ep);
    /* EPOLLRDNORM and EPOLLWRNORM, the other names of readable and writable. */
    MOD(ep, source, EPOLLRDNORM | EPOLLWRNORM, 3);
    post(EPOLLIN | EPOLLOUT);
    EXPECT_ONE(ep, 3, EPOLLRDNORM | EPOLLWRNORM);
    clear(EPOLLIN | EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    DEL(ep, source);
    post(EPOLLIN);
    EXPECT_NONE_NOW(ep);
}

static void edge(void)
{
    ADD(ep, source, EPOLLIN | EPOLLET, 4);
    EXPECT_ONE(ep, 4, EPOLLIN); /* posted before the ADD */
    EXPECT_NONE(ep);
    post(EPOLLIN);
    EXPECT_ONE(ep, 4, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    /* Many posts between two waits are one edge. */
    for (int i = 0; i < 1000; i++)
        post(EPOLLIN);
    EXPECT_ONE(ep, 4, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    /* A post of a bit outside the mask is not an edge, although the level is high. */
    post(EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    MOD(ep, source, EPOLLIN | EPOLLOUT | EPOLLET, 5);
    EXPECT_ONE(ep, 5, EPOLLIN | EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    /* A post of one bit reports all bits of the mask that are high. */
    post(EPOLLOUT);
    EXPECT_ONE(ep, 5, EPOLLIN | EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    clear(EPOLLIN);
    EXPECT_NONE_NOW(ep);
    post(EPOLLIN);
    EXPECT_ONE(ep, 5, EPOLLIN | EPOLLOUT);
    clear(EPOLLOUT | EPOLLIN);
    post(EPOLLHUP);
    EXPECT_ONE(ep, 5, EPOLLHUP);
    EXPECT_NONE_NOW(ep);
    /* A hang-up does not hide later posts. */
    post(EPOLLIN);
    EXPECT_ONE(ep, 5, EPOLLIN | EPOLLHUP);
    post(EPOLLHUP);
    EXPECT_ONE(ep, 5, EPOLLIN | EPOLLHUP);
    /* The bit is cleared before the wait. */
    post(EPOLLIN);
    clear(EPOLLIN | EPOLLHUP);
    EXPECT_NONE_NOW(ep);
    post(EPOLLIN);
    EXPECT_ONE(ep, 5, EPOLLIN);
    DEL(ep, source);
    clear(EPOLLIN);
}

static void one_shot(void)
{
    for (int edge = 0; edge < 2; edge++) {
        uint32_t et = edge ? EPOLLET : 0;
        ADD(ep, source, EPOLLIN | EPOLLONESHOT | et, 6);
        post(EPOLLIN);
        EXPECT_ONE(ep, 6, EPOLLIN);
        post(EPOLLIN);
        EXPECT_NONE(ep);
        MOD(ep, source, EPOLLIN | EPOLLONESHOT | et, 7);
        EXPECT_ONE(ep, 7, EPOLLIN);
        clear(EPOLLIN);
        MOD(ep, source, EPOLLIN | EPOLLONESHOT | et, 8);
        EXPECT_NONE_NOW(ep);
        post(EPOLLIN);
        EXPECT_ONE(ep, 8, EPOLLIN);
        DEL(ep, source);
        clear(EPOLLIN);
    }
}

/* Sources and polled descriptors are reported in turn. */
static void beside_others(void)
{
    int bell[3], far = OK(epolyfill_source_new(0));
    ADD(ep, source, EPOLLIN, 0);
    for (int i = 0; i < 3; i++) {
        bell[i] = OK(eventfd(1, EFD_NONBLOCK));
        ADD(ep, bell[i], EPOLLIN, i + 1);
    }
    ADD(ep, far, EPOLLIN, 4);
    post(EPOLLIN);
    OK(epolyfill_source_post(far, EPOLLIN));
    struct epoll_event at[8];
    CHECK_EQ(epoll_wait(ep, at, 8, BOUND_MS), 5);
    int turns[5] = {0};
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(epoll_wait(ep, at, 1, BOUND_MS), 1);
        turns[at[0].data.u64]++;
    }
    for (int i = 0; i < 5; i++)
        CHECK_EQ(turns[i], 10);
    for (int i = 0; i < 3; i++)
        OK(close(bell[i]));
    CHECK_EQ(epoll_wait(ep, at, 8, BOUND_MS), 2);
    OK(epolyfill_source_close(far));
    EXPECT_ONE(ep, 0, EPOLLIN);
    DEL(ep, source);
    clear(EPOLLIN);
}

void test(void)
{
    ep = new_epoll();
    source = OK(epolyfill_source_new(EPOLL_CLOEXEC));
    CHECK_EQ(OK(fcntl(source, F_GETFD)), FD_CLOEXEC);
    level();
    clear(EPOLLIN);
    post(EPOLLIN);
    edge();
    one_shot();
    beside_others();
    OK(epolyfill_source_close(source));
    OK(close(ep));
}

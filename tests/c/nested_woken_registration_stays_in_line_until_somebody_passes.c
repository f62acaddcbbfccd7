/* A registration that was woken stays on its instance's ready list, even if its level is gone,
 * until a look reaches it; a look at the descriptor stops at the first ready registration. As long
 * as it is on the list, a change of its mask is not an edge outside (T6, N1, N2). */
#include "harness.h"

static int outer, inner, ready, other;

static void wake_and_take(void)
{
    uint64_t one = 1;
    CHECK_EQ(write(other, &one, sizeof one), sizeof one);
    CHECK_EQ(read(other, &one, sizeof one), sizeof one);
}

static void begin(void)
{
    outer = new_epoll(), inner = new_epoll();
    ready = OK(eventfd(0, EFD_NONBLOCK)), other = OK(eventfd(0, EFD_NONBLOCK));
    ADD(inner, other, EPOLLIN, 2);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
}

static void end(void)
{
    OK(close(outer)), OK(close(inner)), OK(close(ready)), OK(close(other));
}

static int look(int ep)
{
    struct pollfd entry = {.fd = ep, .events = POLLIN};
    return OK(poll(&entry, 1, 0));
}

static void behind_one_that_is_ready(void)
{
    begin();
    ADD(inner, ready, EPOLLOUT, 1);
    EXPECT_ONE(outer, 3, EPOLLIN);
    wake_and_take();
    EXPECT_ONE(outer, 3, EPOLLIN);
    CHECK_EQ(look(inner), 1);
    MOD(inner, other, EPOLLOUT, 2);
    EXPECT_NONE_NOW(outer);

    /* It is not ready any more; a wait on the instance passes every registration. */
    MOD(inner, other, EPOLLIN, 2);
    EXPECT_ONE(inner, 1, EPOLLOUT);
    MOD(inner, other, EPOLLOUT, 2);
    EXPECT_ONE(outer, 3, EPOLLIN);
    end();
}

static void before_one_that_is_ready(void)
{
    begin();
    wake_and_take();
    ADD(inner, ready, EPOLLOUT, 1);
    EXPECT_ONE(outer, 3, EPOLLIN);
    MOD(inner, other, EPOLLOUT, 2);
    EXPECT_ONE(outer, 3, EPOLLIN);
    end();
}

/* A wait on the outer instance that was not woken looks at nothing inside. */
static void while_nobody_looks(void)
{
    begin();
    uint64_t one = 1;
    CHECK_EQ(write(other, &one, sizeof one), sizeof one);
    EXPECT_ONE(outer, 3, EPOLLIN);
    CHECK_EQ(read(other, &one, sizeof one), sizeof one);
    EXPECT_NONE_NOW(outer);
    MOD(inner, other, EPOLLOUT, 2);
    EXPECT_NONE_NOW(outer);

    MOD(inner, other, EPOLLIN, 2);
    CHECK_EQ(look(inner), 0);
    MOD(inner, other, EPOLLOUT, 2);
    EXPECT_ONE(outer, 3, EPOLLIN);
    end();
}

void test(void)
{
    behind_one_that_is_ready();
    before_one_that_is_ready();
    while_nobody_looks();
}

/* An instance wakes its watchers with the key EPOLLIN alone. A registration of one without EPOLLIN
 * is ready if the instance was ready when it was added or modified, and stays ready as long as
 * every look finds the instance ready (T6, W3, N2). */
#include "harness.h"

static const uint32_t masks[] = {EPOLLRDNORM, EPOLLRDNORM | EPOLLPRI | EPOLLOUT};

static void levels(uint32_t mask)
{
    int outer = new_epoll(), inner = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(inner, fd[0], EPOLLIN, 1);
    ADD(outer, inner, mask, 2);
    write_bytes(fd[1], 1);
    EXPECT_NONE_NOW(outer);
    EXPECT_NONE_NOW(outer);
    MOD(outer, inner, mask, 2);
    EXPECT_ONE(outer, 2, EPOLLRDNORM);
    EXPECT_ONE(outer, 2, EPOLLRDNORM);
    write_bytes(fd[1], 1);
    EXPECT_ONE(outer, 2, EPOLLRDNORM);
    CHECK_EQ(read_all(fd[0]), 2);
    EXPECT_NONE_NOW(outer);
    write_bytes(fd[1], 1);
    EXPECT_NONE_NOW(outer);
    MOD(outer, inner, EPOLLIN | mask, 2);
    EXPECT_ONE(outer, 2, EPOLLIN | EPOLLRDNORM);
    MOD(outer, inner, mask, 2);
    CHECK_EQ(read_all(fd[0]), 1);
    write_bytes(fd[1], 1);
    EXPECT_ONE(outer, 2, EPOLLRDNORM);
    OK(close(outer)), OK(close(inner)), OK(close(fd[0])), OK(close(fd[1]));
}

static void edges(uint32_t mask)
{
    int outer = new_epoll(), inner = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(inner, fd[0], EPOLLIN, 1);
    write_bytes(fd[1], 1);
    ADD(outer, inner, mask | EPOLLET, 2);
    EXPECT_ONE(outer, 2, EPOLLRDNORM);
    EXPECT_NONE_NOW(outer);
    write_bytes(fd[1], 1);
    EXPECT_NONE_NOW(outer);
    int out = OK(eventfd(0, EFD_NONBLOCK));
    ADD(inner, out, EPOLLOUT, 3);
    EXPECT_NONE_NOW(outer);
    MOD(outer, inner, mask | EPOLLET, 2);
    EXPECT_ONE(outer, 2, EPOLLRDNORM);
    EXPECT_NONE_NOW(outer);
    OK(close(outer)), OK(close(inner)), OK(close(fd[0])), OK(close(fd[1])), OK(close(out));
}

/* The outermost link is such a registration. */
static void chains(uint32_t mask)
{
    int outer = new_epoll(), middle = new_epoll(), inner = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(inner, fd[0], EPOLLIN, 1);
    ADD(middle, inner, mask, 2);
    ADD(outer, middle, EPOLLIN, 3);
    write_bytes(fd[1], 1);
    EXPECT_NONE_NOW(outer);
    EXPECT_NONE_NOW(middle);
    MOD(middle, inner, mask, 2);
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_ONE(middle, 2, EPOLLRDNORM);
    OK(close(outer)), OK(close(middle)), OK(close(inner)), OK(close(fd[0])), OK(close(fd[1]));
}

/* A look passes it while it shows nothing, and reaches a ready one behind it: the passed
 * registration needs another wake-up. */
static void passed_on_the_way(void)
{
    int outer = new_epoll(), inner = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(outer, fd[0], EPOLLIN, 1);
    ADD(inner, fd[1], EPOLLOUT, 2);
    ADD(outer, inner, EPOLLRDNORM, 3);
    fill(fd[1]);
    struct pollfd entry = {.fd = outer, .events = POLLIN};
    CHECK_EQ(poll(&entry, 1, 0), 1);
    OK(close(fd[0]));
    EXPECT_ONE(inner, 2, EPOLLERR);
    EXPECT_NONE_NOW(outer);
    OK(close(outer)), OK(close(inner)), OK(close(fd[1]));
}

/* A wait does not look at a ready instance that was added without its level in the mask, so its
 * ready items stay on its list until a look reaches them. */
static void added_in_vain(void)
{
    int outer = new_epoll(), middle = new_epoll(), inner = new_epoll();
    int in = OK(eventfd(1, EFD_NONBLOCK)), out = OK(eventfd(0, EFD_NONBLOCK));
    ADD(inner, in, EPOLLIN, 1);
    ADD(middle, inner, EPOLLRDNORM, 2);
    ADD(outer, middle, EPOLLOUT, 3);
    CHECK_EQ(read_all(in), 8);
    EXPECT_NONE_NOW(outer);
    ADD(inner, out, EPOLLOUT, 4);
    EXPECT_ONE(middle, 2, EPOLLRDNORM);
    OK(close(outer)), OK(close(middle)), OK(close(inner)), OK(close(in)), OK(close(out));
}

/* An instance that was woken under a mask with EPOLLIN stays on the outer instance's ready list
 * when its mask loses EPOLLIN, unless a poll, whatever it asks for, passed it while it showed
 * nothing. */
static void woken_under_another_mask(bool passed, short asked)
{
    int outer = new_epoll(), inner = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    ADD(outer, inner, EPOLLIN | EPOLLET, 1);
    ADD(inner, fd, EPOLLIN | EPOLLOUT | EPOLLET, 2);
    EXPECT_ONE(inner, 2, EPOLLOUT);
    struct pollfd entry = {.fd = outer, .events = asked};
    if (passed)
        CHECK_EQ(poll(&entry, 1, 0), 0);
    MOD(outer, inner, EPOLLRDNORM | EPOLLPRI | EPOLLET, 1);
    add_one(fd);
    if (!passed)
        EXPECT_ONE(outer, 1, EPOLLRDNORM);
    EXPECT_NONE_NOW(outer);
    OK(close(outer)), OK(close(inner)), OK(close(fd));
}

/* What was ready before it precedes it on the list, so a look that ends there does not pass it. */
static void listed_behind_what_was_ready(uint32_t edge)
{
    int outermost = new_epoll(), outer = new_epoll(), inner = new_epoll(), fd[2];
    int event = OK(eventfd(0, EFD_NONBLOCK));
    make_pipe(fd);
    ADD(outer, fd[0], EPOLLIN | edge, 1);
    ADD(inner, event, EPOLLIN | EPOLLET, 2);
    write_bytes(fd[1], 1);
    EXPECT_ONE(outer, 1, EPOLLIN);
    write_bytes(fd[1], 1);
    add_one(event);
    ADD(outer, inner, EPOLLRDNORM, 3);
    ADD(outermost, outer, EPOLLIN, 4);
    EXPECT_ONE(inner, 2, EPOLLIN);
    EXPECT_ONE(outermost, 4, EPOLLIN);
    add_one(event);
    struct epoll_event events[4];
    CHECK_EQ(epoll_wait(outer, events, 4, 0), 2);
    OK(close(outermost)), OK(close(outer)), OK(close(inner)), OK(close(fd[0])), OK(close(fd[1])), OK(close(event));
}

void test(void)
{
    for (int i = 0; i < 2; i++)
        levels(masks[i]), edges(masks[i]), chains(masks[i]);
    passed_on_the_way();
    added_in_vain();
    listed_behind_what_was_ready(0), listed_behind_what_was_ready(EPOLLET);
    woken_under_another_mask(false, 0);
    woken_under_another_mask(true, 0), woken_under_another_mask(true, POLLOUT), woken_under_another_mask(true, POLLIN);
}

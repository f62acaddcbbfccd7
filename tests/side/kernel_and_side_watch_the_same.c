/* The kernel's epoll under libc's names and epolyfill's under its own, in one program and on the
 * same descriptors, report the same and do not disturb each other. */
#include "harness.h"

#include <epolyfill.h>

struct both {
    int kernel, ours;
};

static struct both make(void)
{
    return (struct both){OK(epoll_create1(EPOLL_CLOEXEC)), OK(epolyfill_create1(EPOLL_CLOEXEC))};
}

static void add(struct both ep, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    OK(epoll_ctl(ep.kernel, EPOLL_CTL_ADD, fd, &event));
    OK(epolyfill_ctl(ep.ours, EPOLL_CTL_ADD, fd, &event));
}

/* One wait on each side reports `n` events, the same ones. */
static void expect_both(struct both ep, int n)
{
    struct epoll_event kernel[8] = {{0}}, ours[8] = {{0}};
    CHECK_EQ(epoll_wait(ep.kernel, kernel, 8, n > 0 ? BOUND_MS : 0), n);
    CHECK_EQ(epolyfill_wait(ep.ours, ours, 8, n > 0 ? BOUND_MS : 0), n);
    for (int i = 0; i < n; i++) {
        CHECK_EQ(ours[i].events, kernel[i].events);
        CHECK_EQ(ours[i].data.fd, kernel[i].data.fd);
    }
}

static bool is_readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return OK(poll(&look, 1, 0)) == 1;
}

static void they_are_two(void)
{
    struct both ep = make();
    struct epoll_event event = {.events = EPOLLIN};
    int bell = OK(eventfd(0, 0));
    CHECK_ERRNO(epolyfill_ctl(ep.kernel, EPOLL_CTL_ADD, bell, &event), EINVAL);
    CHECK_ERRNO(epoll_ctl(ep.ours, EPOLL_CTL_ADD, bell, &event), EINVAL);
    OK(close(bell));
    OK(close(ep.kernel));
    OK(epolyfill_close(ep.ours));
}

static void levels(uint32_t flags)
{
    struct both ep = make();
    int fd[2];
    make_pipe(fd);
    add(ep, fd[0], EPOLLIN | flags);
    expect_both(ep, 0);
    for (int i = 0; i < 20; i++) {
        write_bytes(fd[1], 3);
        expect_both(ep, 1);
        CHECK_EQ(read_all(fd[0]), 3);
        expect_both(ep, 0);
    }
    OK(close(fd[1]));
    expect_both(ep, 1);
    OK(epolyfill_close(fd[0]));
    expect_both(ep, 0);
    OK(close(ep.kernel));
    OK(epolyfill_close(ep.ours));
}

/* Each instance is in the other; the kernel looks at epolyfill's through the level of its
 * descriptor. */
static void one_in_the_other(void)
{
    struct both ep = make();
    int fd[2];
    make_pipe(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd[0]}, got;
    OK(epolyfill_ctl(ep.ours, EPOLL_CTL_ADD, fd[0], &event));
    event.data.fd = ep.ours;
    OK(epoll_ctl(ep.kernel, EPOLL_CTL_ADD, ep.ours, &event));
    CHECK(!is_readable(ep.ours));
    CHECK_EQ(epoll_wait(ep.kernel, &got, 1, 0), 0);
    for (int i = 0; i < 20; i++) {
        write_bytes(fd[1], 1);
        CHECK_EQ(epoll_wait(ep.kernel, &got, 1, BOUND_MS), 1);
        CHECK_EQ(got.data.fd, ep.ours);
        CHECK(is_readable(ep.ours));
        CHECK_EQ(epolyfill_wait(ep.ours, &got, 1, BOUND_MS), 1);
        CHECK_EQ(got.data.fd, fd[0]);
        CHECK_EQ(read_all(fd[0]), 1);
        CHECK_EQ(epolyfill_wait(ep.ours, &got, 1, 0), 0);
        CHECK(!is_readable(ep.ours));
        CHECK_EQ(epoll_wait(ep.kernel, &got, 1, 0), 0);
    }
    OK(close(fd[1]));
    OK(epolyfill_close(fd[0]));
    OK(close(ep.kernel));
    OK(epolyfill_close(ep.ours));

    ep = make();
    make_pipe(fd);
    event.data.fd = fd[0];
    OK(epoll_ctl(ep.kernel, EPOLL_CTL_ADD, fd[0], &event));
    event.data.fd = ep.kernel;
    OK(epolyfill_ctl(ep.ours, EPOLL_CTL_ADD, ep.kernel, &event));
    CHECK_EQ(epolyfill_wait(ep.ours, &got, 1, 0), 0);
    write_bytes(fd[1], 1);
    CHECK_EQ(epolyfill_wait(ep.ours, &got, 1, BOUND_MS), 1);
    CHECK_EQ(got.data.fd, ep.kernel);
    OK(epolyfill_close(ep.kernel));
    OK(epolyfill_close(ep.ours));
    OK(close(fd[0]));
    OK(close(fd[1]));
}

/* Reads that the library does not see lose no edge: the pipe is filled, emptied, and filled to the
 * same amount again. */
static void refilled_unseen(void)
{
    int ep = OK(epolyfill_create1(0)), fd[2];
    make_pipe(fd);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd[0]}, got;
    OK(epolyfill_ctl(ep, EPOLL_CTL_ADD, fd[0], &event));
    CHECK_EQ(epolyfill_wait(ep, &got, 1, 0), 0);
    for (int i = 0; i < 5; i++) {
        write_bytes(fd[1], 1);
        CHECK_EQ(epolyfill_wait(ep, &got, 1, BOUND_MS), 1);
        CHECK_EQ(read_all(fd[0]), 1);
    }
    OK(epolyfill_close(fd[0]));
    OK(epolyfill_close(ep));
    OK(close(fd[1]));
}

void test(void)
{
    they_are_two();
    levels(0);
    levels(EPOLLET);
    one_in_the_other();
    refilled_unseen();
}

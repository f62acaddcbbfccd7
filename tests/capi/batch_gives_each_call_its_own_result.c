/* A batch of control calls stores a result for each call, in the order of the array, and a call
 * that fails does not affect the others. */
#include "capi.h"

#include <sys/mman.h>

#define N 300

static void results(void)
{
    int ep = new_epoll(), fd[2], bell = OK(eventfd(1, EFD_NONBLOCK));
    make_pipe(fd);
    struct epolyfill_op ops[] = {
        {.op = EPOLL_CTL_ADD, .fd = bell, .event = {.events = EPOLLIN, .data.u64 = 1}, .error = 99},
        {.op = EPOLL_CTL_ADD, .fd = bell, .event = {.events = EPOLLIN, .data.u64 = 2}, .error = 99},
        {.op = EPOLL_CTL_DEL, .fd = fd[0], .error = 99},
        {.op = EPOLL_CTL_ADD, .fd = fd[1], .event = {.events = EPOLLOUT, .data.u64 = 3}, .error = 99},
        {.op = EPOLL_CTL_ADD, .fd = -1, .error = 99},
        {.op = EPOLL_CTL_MOD, .fd = bell, .event = {.events = EPOLLIN | EPOLLET, .data.u64 = 4}, .error = 99},
        {.op = 17, .fd = bell, .error = 99},
    };
    CHECK_EQ(epolyfill_ctl_batch(ep, ops, 7), 3);
    static const int errors[] = {0, EEXIST, ENOENT, 0, EBADF, 0, EINVAL};
    for (int i = 0; i < 7; i++)
        CHECK_EQ(ops[i].error, errors[i]);
    struct events events = wait_events(ep, 0);
    sort_by_data(&events);
    CHECK_EQ(events.n, 2);
    CHECK_EQ(events.at[0].data.u64, 3);
    CHECK_EQ(events.at[1].data.u64, 4);
    CHECK_EQ(epolyfill_ctl_batch(ep, ops, 0), 0);
    CHECK_EQ(epolyfill_ctl_batch(ep, NULL, 0), 0);
    CHECK_ERRNO(epolyfill_ctl_batch(ep, NULL, 1), EFAULT);
    CHECK_ERRNO(epolyfill_ctl_batch(bell, ops, 1), EINVAL);
    CHECK_ERRNO(epolyfill_ctl_batch(-1, ops, 1), EBADF);
    CHECK_ERRNO(epolyfill_ctl_batch(ep, ops, (size_t)-1), EINVAL);
    OK(close(ep));
    OK(close(bell));
    OK(close(fd[0]));
    OK(close(fd[1]));
}

/* A registration added by a batch wakes a sleeping thread. */
static void sleeper(void)
{
    int ep = new_epoll();
    static struct epolyfill_op ops[N];
    struct waiter waiter;
    start_waiter(&waiter, ep);
    for (int i = 0; i < N; i++)
        ops[i] = (struct epolyfill_op){
            .op = EPOLL_CTL_ADD, .fd = OK(eventfd(i == N - 1, 0)), .event = {.events = EPOLLIN, .data.u64 = (uint64_t)i}};
    CHECK_EQ(epolyfill_ctl_batch(ep, ops, N), N);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, N - 1);
    for (int i = 0; i < N; i++)
        ops[i].op = EPOLL_CTL_DEL;
    CHECK_EQ(epolyfill_ctl_batch(ep, ops, N), N);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < N; i++)
        OK(close(ops[i].fd));
    OK(close(ep));
}

/* A call whose result cannot be stored is not made: where addresses are checked, the batch fails
 * with EFAULT before the first call. */
static void nowhere_for_the_result(void)
{
    int ep = new_epoll(), bell = OK(eventfd(1, EFD_NONBLOCK));
    struct epolyfill_op *ops = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ops[0] = (struct epolyfill_op){.op = EPOLL_CTL_ADD, .fd = bell, .event = {.events = EPOLLIN}};
    OK(mprotect(ops, 4096, PROT_READ));
    CHECK_ERRNO(epolyfill_ctl_batch(ep, ops, 1), EFAULT);
    EXPECT_NONE_NOW(ep);
    /* Only the first of the two elements is writable. */
    struct epolyfill_op *last = (void *)((char *)ops + 8192 - sizeof *ops);
    OK(munmap(ops, 4096));
    *last = (struct epolyfill_op){.op = EPOLL_CTL_ADD, .fd = bell, .event = {.events = EPOLLIN}, .error = 99};
    CHECK_EQ(epolyfill_ctl_batch(ep, last, 2), 1);
    CHECK_EQ(last->error, 0);
    EXPECT_ONE(ep, 0, EPOLLIN);
    OK(munmap((char *)ops + 4096, 4096));
    OK(close(bell));
    OK(close(ep));
}

void test(void)
{
    if (getenv("EPOLYFILL_STRICT") == NULL) {
        results();
        sleeper();
        OK(setenv("EPOLYFILL_STRICT", "1", 1));
        OK(execv("/proc/self/exe", test_argv));
    }
    nowhere_for_the_result();
}

/* A thread that sleeps in poll() or select() on an instance wakes up when an item becomes ready in
 * it, by ADD and by MOD too (N1). */
#include "harness.h"

#include <sys/select.h>

static int ep;
static atomic_bool woken;

static void *polls(void *arg)
{
    struct pollfd p = {.fd = ep, .events = POLLIN};
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ep, &in);
    switch ((uintptr_t)arg) {
    case 0:
        CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
        break;
    case 1:
        CHECK_EQ(ppoll(&p, 1, NULL, NULL), 1);
        break;
    default:
        CHECK_EQ(select(ep + 1, &in, NULL, NULL, NULL), 1);
    }
    atomic_store(&woken, true);
    return NULL;
}

void test(void)
{
    for (uintptr_t i = 0; i < 18; i++) {
        int fd[2], cause = i / 3 % 3, edge = i / 9 ? EPOLLET : 0;
        ep = new_epoll();
        make_pipe(fd);
        if (cause != 1)
            ADD(ep, fd[0], (cause == 2 ? EPOLLPRI : EPOLLIN) | edge, 1);
        if (cause != 0)
            write_bytes(fd[1], 1);
        atomic_store(&woken, false);
        struct thread thread;
        start_thread(&thread, polls, (void *)(i % 3));
        wait_until_blocked(thread.tid);
        CHECK(!atomic_load(&woken));
        if (cause == 0)
            write_bytes(fd[1], 1);
        else
            CHECK_EQ(ctl(ep, cause == 1 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd[0], EPOLLIN | edge, 1), 0);
        join_thread(&thread);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

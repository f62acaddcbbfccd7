/* A child that shares the memory but not the descriptors (clone with CLONE_VM, with or without
 * CLONE_VFORK), and closes and duplicates descriptors that the parent watches, changes nothing for
 * the parent (D5). */
#include "harness.h"

#include <sched.h>

static int ep, fd[3][2], spare;

static int closes_and_dups(void *arg)
{
    (void)arg;
    close(fd[0][0]);
    dup2(fd[2][0], fd[1][0]);
    dup3(spare, fd[2][0], O_CLOEXEC);
    close(dup(fd[2][1]));
    close_range(fd[2][1], ~0u, 0);
    close(ep);
    return 7;
}

void test(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int flags[] = {CLONE_VM | CLONE_VFORK | SIGCHLD, CLONE_VM | SIGCHLD};
    for (int i = 0; i < 2; i++) {
        ep = new_epoll();
        spare = OK(eventfd(0, 0));
        for (int k = 0; k < 3; k++) {
            make_pipe(fd[k]);
            ADD(ep, fd[k][0], k % 2 ? EPOLLIN : EPOLLIN | EPOLLET, k);
        }
        struct waiter waiter;
        start_waiter(&waiter, ep);
        pid_t child = OK(clone(closes_and_dups, stack + sizeof stack, flags[i], NULL));
        int status;
        CHECK_EQ(OK(waitpid(child, &status, 0)), child);
        CHECK_EQ(status, 7 << 8);
        write_bytes(fd[1][1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 1);
        CHECK_EQ(read_all(fd[1][0]), 1);
        for (int k = 0; k < 3; k++) {
            write_bytes(fd[k][1], 1);
            EXPECT_ONE(ep, k, EPOLLIN);
            CHECK_EQ(read_all(fd[k][0]), 1);
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd[k][0], EPOLLIN, k), EEXIST);
            OK(close(fd[k][0]));
            EXPECT_NONE_NOW(ep);
        }
        OK(close(ep));
    }
}

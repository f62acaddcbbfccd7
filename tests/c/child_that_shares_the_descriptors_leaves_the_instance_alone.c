/* A child with memory of its own and the parent's descriptors (CLONE_FILES) reads, writes, opens
 * and closes: the parent's instance is unaffected, and reports the data that the child wrote. */
#include "harness.h"

#include <linux/sched.h>
#include <sched.h>

static pid_t by_clone(void) { return syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0); }
static pid_t by_clone3(void)
{
    struct clone_args a = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    return syscall(SYS_clone3, &a, sizeof a);
}

static void try(pid_t (*make)(void))
{
    int ep = new_epoll(), bell[2], silent[2];
    make_pipe(bell);
    make_pipe(silent);
    ADD(ep, bell[0], EPOLLIN, 1);
    ADD(ep, silent[0], EPOLLIN | EPOLLET, 2);
    EXPECT_NONE_NOW(ep);
    pid_t child = OK(make());
    if (child == 0) {
        alarm(BOUND_MS / 1000);
        int own = OK(eventfd(0, EFD_NONBLOCK)), twin = OK(dup(own));
        add_one(own);
        OK(close(twin));
        OK(close(own));
        write_bytes(bell[1], 1);
        _exit(0);
    }
    expect_exit_0(child);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(bell[0]), 1);
    EXPECT_NONE_NOW(ep);
    write_bytes(silent[1], 1);
    EXPECT_ONE(ep, 2, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    int more = OK(eventfd(1, 0));
    ADD(ep, more, EPOLLIN, 3);
    EXPECT_ONE(ep, 3, EPOLLIN);
    OK(close(more));
    for (int i = 0; i < 2; i++) {
        OK(close(bell[i]));
        OK(close(silent[i]));
    }
    EXPECT_NONE_NOW(ep);
    OK(close(ep));
}

void test(void)
{
    subject = "clone";
    try(by_clone);
    subject = "clone3";
    try(by_clone3);
}

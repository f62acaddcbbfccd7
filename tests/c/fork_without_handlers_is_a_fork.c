/* A child that was made by _Fork, by a clone by number or by an inline clone has the instance and
 * its registrations like any other (D5). It adds and closes without changing the parent's instance;
 * also when other threads of the parent wait, when they are busy with instances at that moment, and
 * when many registrations are silent. The inline clone is made while the parent has no other
 * threads. */
#include "bare.h"
#include "harness.h"

#include <linux/sched.h>

#define N 200

static int ep, fd[N][2];

static pid_t by_fork(void) { return fork(); }
static pid_t by_underscore_fork(void) { return _Fork(); }
static pid_t by_clone(void) { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static pid_t by_clone3(void)
{
    struct clone_args a = {.exit_signal = SIGCHLD};
    return syscall(SYS_clone3, &a, sizeof a);
}
static pid_t by_inline_clone(void) { return bare(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0); }

static void in_the_child(int waiters)
{
    /* The parent's registrations, level- and edge-triggered, in a wait of the child's. If the
     * parent had a waiter too, either of them could get an event. */
    if (!waiters) {
        struct pollfd p = {.fd = ep, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 0), 0);
        for (int i = 0; i < N; i += 50) {
            write_bytes(fd[i][1], 1);
            EXPECT_ONE(ep, i, EPOLLIN);
            CHECK_EQ(read_all(fd[i][0]), 1);
        }
        EXPECT_NONE_NOW(ep);
    }
    /* The child's own instance. */
    int own = new_epoll(), mine[2];
    make_pipe(mine);
    ADD(own, mine[0], EPOLLIN | EPOLLET, 7);
    struct waiter waiter;
    start_waiter(&waiter, own);
    write_bytes(mine[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 7);
    /* A closed descriptor has no registration, and its number can be used again. */
    OK(close(mine[0]));
    write(mine[1], "", 1);
    CHECK_EQ(OK(eventfd(1, 0)), mine[0]);
    EXPECT_NONE_NOW(own);
    ADD(own, mine[0], EPOLLIN, 8);
    EXPECT_ONE(own, 8, EPOLLIN);
    int twin = OK(dup(mine[0]));
    OK(close(mine[0]));
    EXPECT_ONE(own, 8, EPOLLIN);
    OK(close(twin));
    EXPECT_NONE_NOW(own);
    for (int i = 0; i < N; i++) {
        OK(close(fd[i][0]));
        OK(close(fd[i][1]));
    }
    OK(close(ep));
}

static void try(pid_t (*make)(void), int waiters, int silent)
{
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    for (int i = 0; i < silent; i++) {
        write_bytes(fd[0][1], 1);
        EXPECT_ONE(ep, 0, EPOLLIN);
        CHECK_EQ(read_all(fd[0][0]), 1);
    }
    struct waiter waiter[2];
    for (int i = 0; i < waiters; i++)
        start_waiter(&waiter[i], ep);
    pid_t child = OK(make());
    if (child == 0) {
        alarm(BOUND_MS / 1000);
        in_the_child(waiters);
        _exit(0);
    }
    expect_exit_0(child);
    for (int i = 0; i < waiters; i++) {
        write_bytes(fd[N - 1][1], 1);
        CHECK_EQ(join_waiter(&waiter[waiters - 1 - i]), 1);
        CHECK_EQ(waiter[waiters - 1 - i].at[0].data.u64, N - 1);
        CHECK_EQ(read_all(fd[N - 1][0]), 1);
    }
    for (int i = 0; i < N; i += 20) {
        write_bytes(fd[i][1], 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        OK(close(fd[i][0]));
        EXPECT_NONE_NOW(ep);
    }
    for (int i = 0; i < N; i++) {
        if (i % 20)
            OK(close(fd[i][0]));
        OK(close(fd[i][1]));
    }
    OK(close(ep));
}

static atomic_int busy;

/* Spends most of its time inside the library, or the kernel's epoll. */
static void *keep_busy(void *unused)
{
    (void)unused;
    int own = new_epoll(), e = OK(eventfd(1, 0));
    ADD(own, e, EPOLLIN, 0);
    while (atomic_load(&busy)) {
        MOD(own, e, EPOLLIN, 0);
        EXPECT_ONE(own, 0, EPOLLIN);
        int twin = OK(dup(e));
        DEL(own, e);
        OK(close(e));
        e = twin;
        ADD(own, e, EPOLLIN, 0);
    }
    OK(close(e));
    OK(close(own));
    return NULL;
}

static void while_others_are_busy(pid_t (*make)(void))
{
    struct thread thread[2];
    atomic_store(&busy, 1);
    for (int i = 0; i < 2; i++)
        start_thread(&thread[i], keep_busy, NULL);
    for (int i = 0; i < 20; i++)
        try(make, 0, 0);
    atomic_store(&busy, 0);
    for (int i = 0; i < 2; i++)
        join_thread(&thread[i]);
}

void test(void)
{
    struct {
        pid_t (*make)(void);
        const char *name;
    } ways[] = {{by_underscore_fork, "_Fork"}, {by_clone, "clone"}, {by_clone3, "clone3"}, {by_fork, "fork"}};
    subject = "inline clone";
    try(by_inline_clone, 0, 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        subject = ways[i].name;
        for (int waiters = 0; waiters < 3; waiters++)
            try(ways[i].make, waiters, 0);
        while_others_are_busy(ways[i].make);
        try(ways[i].make, 0, 2000);
    }
}

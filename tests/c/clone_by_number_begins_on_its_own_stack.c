/* A child that is made by number and runs on another stack begins there as with libc's syscall(),
 * which returns to the address on top of that stack; and a vfork by number shares the parent's. The
 * child, with or without the parent's memory, changes nothing in the parent's instance (D5). */
#include "harness.h"

#include <linux/sched.h>
#include <sched.h>

#ifdef __x86_64__

static int ep, fd[2];
static _Atomic int shared;
static char stack[65536] __attribute__((aligned(16)));

static void in_the_child(void)
{
    shared = 1;
    close(fd[0]);
    close(dup(fd[1]));
    close(ep);
    _exit(7);
}

static long make(int way, bool shares)
{
    /* As a call of the function leaves the stack. */
    uintptr_t *top = (uintptr_t *)(stack + sizeof stack) - 2;
    uint64_t flags = shares ? CLONE_VM | CLONE_VFORK : 0;
    struct clone_args args = {
        .flags = flags, .exit_signal = SIGCHLD, .stack = (uintptr_t)stack, .stack_size = sizeof stack - 16};
    *top = (uintptr_t)in_the_child;
    return way ? syscall(SYS_clone3, &args, sizeof args) : syscall(SYS_clone, flags | SIGCHLD, top, 0L, 0L, 0L);
}

/* A child of a vfork by number may call nothing: its calls would overwrite where the parent's
 * syscall() returns to. */
static long make_vfork(void)
{
    long child = syscall(SYS_vfork);
    if (child == 0) {
        shared = 1;
        __asm__ volatile("syscall" : : "a"(SYS_close), "D"((long)fd[0]) : "rcx", "r11", "memory");
        __asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(7L) : "rcx", "r11", "memory");
    }
    return child;
}

static void expect_as_before(pid_t child, bool shares)
{
    int status;
    CHECK_EQ(OK(waitpid(child, &status, 0)), child);
    CHECK_EQ(status, 7 << 8);
    CHECK_EQ(shared, shares);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(fd[0]), 1);
    EXPECT_NONE_NOW(ep);
    shared = 0;
}

void test(void)
{
    ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 20; i++) {
        for (int way = 0; way < 2; way++) {
            expect_as_before(OK(make(way, true)), true);
            expect_as_before(OK(make(way, false)), false);
        }
        expect_as_before(OK(make_vfork()), true);
    }
    CHECK_ERRNO(syscall(SYS_clone, (long)CLONE_SIGHAND, stack + sizeof stack, 0L, 0L, 0L), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone3, NULL, sizeof(struct clone_args)), EFAULT);
    CHECK_ERRNO(syscall(SYS_clone3, stack, 8L), EINVAL);
}

#else

void test(void) { exit(77); }

#endif

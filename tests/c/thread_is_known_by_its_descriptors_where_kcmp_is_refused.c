/* One thread, the first one of the process or another, gets a descriptor table of its own
 * (unshare), where the kernel refuses kcmp, as in containers. The other threads, old ones and those
 * that they start, wait, register and close as usual. Threads that it starts do not change the
 * registrations. */
#include "faults.h"

#include <sched.h>

static int ep, bell, step;

static void *closes_copies(void *arg)
{
    OK(close(bell));
    return arg;
}

static void reach(int n)
{
    __atomic_store_n(&step, n, __ATOMIC_SEQ_CST);
}

static void await(int n)
{
    UNTIL(__atomic_load_n(&step, __ATOMIC_SEQ_CST) == n);
}

static void *leaves(void *arg)
{
    struct thread thread;
    await(1);
    OK(unshare(CLONE_FILES));
    start_thread(&thread, closes_copies, NULL);
    join_thread(&thread);
    reach(2);
    await(3);
    return arg;
}

static void *uses_all(void *arg)
{
    int other = OK(eventfd(1, EFD_NONBLOCK));
    EXPECT_ONE(ep, 1, EPOLLIN);
    MOD(ep, bell, EPOLLIN | EPOLLET, 2);
    EXPECT_ONE(ep, 2, EPOLLIN);
    ADD(ep, other, EPOLLIN | EPOLLET, 3);
    EXPECT_ONE(ep, 3, EPOLLIN);
    uint64_t count;
    OK(read(other, &count, sizeof count));
    add_one(other);
    EXPECT_ONE(ep, 3, EPOLLIN);
    OK(close(other));
    MOD(ep, bell, EPOLLIN, 1);
    return arg;
}

static void *stays(void *arg)
{
    struct thread thread;
    reach(1);
    await(2);
    uses_all(NULL);
    start_thread(&thread, uses_all, NULL);
    join_thread(&thread);
    OK(close(bell));
    EXPECT_NONE_NOW(ep);
    reach(3);
    return arg;
}

static void play(const char *who, void *first(void *), void *second(void *))
{
    struct thread thread;
    pid_t child = OK(fork());
    if (child == 0) {
        subject = who;
        ep = new_epoll();
        bell = OK(eventfd(1, EFD_NONBLOCK));
        ADD(ep, bell, EPOLLIN, 1);
        start_thread(&thread, second, NULL);
        first(NULL);
        join_thread(&thread);
        _exit(0);
    }
    int status;
    OK(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
}

void test(void)
{
    refuse_call(SYS_kcmp, EPERM);
    CHECK_ERRNO(syscall(SYS_kcmp, getpid(), getpid(), 2, 0, 0), EPERM);
    play("the first thread leaves", leaves, stays);
    play("another thread leaves", stays, leaves);
}

/* A thread with a descriptor table of its own (unshare, close_range) closes its copies of
 * descriptors that other threads watch, and opens other files under those numbers. The
 * registrations of the others remain, whether it calls by name or by number, in that thread and in
 * one that it starts (D1). */
#include "harness.h"

#include <linux/close_range.h>
#include <sched.h>

static int ep, kept, ends[2], step;
static const char *way;

static void part(void)
{
    if (strcmp(way, "unshare") == 0)
        OK(unshare(CLONE_FILES));
    else if (strcmp(way, "syscall(unshare)") == 0)
        OK(syscall(SYS_unshare, CLONE_FILES));
    else if (strcmp(way, "close_range") == 0)
        OK(close_range(ends[0], ends[1], CLOSE_RANGE_UNSHARE));
    else
        OK(syscall(SYS_close_range, ends[0], ends[1], CLOSE_RANGE_UNSHARE));
}

static void exchange(void)
{
    int low = OK(eventfd(0, EFD_NONBLOCK)), other = OK(fcntl(low, F_DUPFD, 500));
    close(low);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(dup2(other, ends[i]), ends[i]);
    close(other);
    /* The file is not readable, and transfers on it are not taken for transfers on the pipe. */
    uint64_t one = 1;
    OK(write(ends[1], &one, sizeof one));
    OK(read(ends[0], &one, sizeof one));
    close(ends[0]);
    close(ends[1]);
    close(kept);
}

static void *shares(void *arg)
{
    (void)arg;
    exchange();
    return NULL;
}

static void *parts(void *arg)
{
    struct thread second;
    (void)arg;
    part();
    CHECK_ERRNO(close(ep + 1000), EBADF);
    exchange();
    start_thread(&second, shares, NULL);
    join_thread(&second);
    /* A child of such a thread has the thread's descriptors. */
    pid_t child = OK(fork());
    if (child == 0)
        _exit(fcntl(ends[0], F_GETFD) == -1 && fcntl(kept, F_GETFD) == -1 ? 0 : 1);
    int status;
    OK(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
    __atomic_store_n(&step, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 1)
        usleep(1000);
    return NULL;
}

void test(void)
{
    const char *ways[] = {"unshare", "syscall(unshare)", "close_range", "syscall(close_range)"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct thread thread;
        char byte;
        subject = way = ways[i];
        step = 0;
        ep = new_epoll();
        kept = OK(eventfd(0, EFD_NONBLOCK));
        OK(pipe2(ends, O_NONBLOCK));
        ADD(ep, ends[0], EPOLLIN | EPOLLET, 1);
        ADD(ep, kept, EPOLLIN, 2);
        start_thread(&thread, parts, NULL);
        UNTIL(__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 1);
        EXPECT_NONE_NOW(ep);
        for (int round = 0; round < 2; round++) {
            OK(write(ends[1], "x", 1));
            EXPECT_ONE(ep, 1, EPOLLIN);
            CHECK_EQ(read(ends[0], &byte, 1), 1);
            EXPECT_NONE_NOW(ep);
        }
        add_one(kept);
        EXPECT_ONE(ep, 2, EPOLLIN);
        /* The other threads close and use numbers as before. */
        close(kept);
        int again = OK(eventfd(0, EFD_NONBLOCK));
        CHECK_EQ(again, kept);
        ADD(ep, again, EPOLLIN, 3);
        EXPECT_NONE_NOW(ep);
        __atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
        join_thread(&thread);
        close(again);
        close(ends[0]);
        close(ends[1]);
        close(ep);
    }
    /* A process of one thread shares its table with no other thread. */
    pid_t child = OK(fork());
    if (child == 0) {
        int own = new_epoll(), bell = OK(eventfd(1, 0));
        OK(unshare(CLONE_FILES));
        ADD(own, bell, EPOLLIN, 1);
        EXPECT_ONE(own, 1, EPOLLIN);
        CHECK_EQ(close(bell), 0);
        EXPECT_NONE_NOW(own);
        _exit(0);
    }
    int status;
    OK(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
}

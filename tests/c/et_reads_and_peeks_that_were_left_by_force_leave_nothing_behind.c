/* A thread that was cancelled in a blocking read, or left it by siglongjmp, no longer counts as
 * reading: reads by others and arrivals are reported as usual. The same holds for a peek (W10). */
#include "bare.h"
#include "harness.h"

#include <sched.h>
#include <setjmp.h>

static int fd[2];
static sigjmp_buf out;
static bool ends_late;

/* The kernel closes a thread's own descriptor table only after pthread_join() was woken, so a large
 * table keeps the thread alive for a while. The library must not see the call. */
static void take_a_table_of_its_own(void)
{
    CHECK_EQ(bare(SYS_unshare, CLONE_FILES, 0, 0, 0, 0, 0), 0);
}

static void *reads(void *arg)
{
    char byte;
    if (ends_late)
        take_a_table_of_its_own();
    ssize_t n = arg == NULL ? read(fd[0], &byte, 1) : recv(fd[0], &byte, 1, MSG_PEEK);
    die(__FILE__, __LINE__, "a call that was to be cancelled answered %zd", n);
}

static void leave(int signal)
{
    (void)signal;
    siglongjmp(out, 1);
}

static void cancel_a_call(bool peeks)
{
    struct thread thread;
    start_thread(&thread, reads, peeks ? &fd : NULL);
    wait_until_blocked(thread.tid);
    PT(pthread_cancel(thread.id));
    CHECK(join_thread(&thread) == PTHREAD_CANCELED);
}

static void jump_out_of_a_call(bool peeks)
{
    struct itimerspec soon = {.it_value.tv_nsec = 20000000};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK(signal(SIGUSR1, leave) != SIG_ERR);
    if (sigsetjmp(out, 1) == 0) {
        OK(timer_settime(timer, 0, &soon, NULL));
        reads(peeks ? &fd : NULL);
    }
    OK(timer_delete(timer));
}

/* Another process drains the pipe, and fewer bytes arrive: the count fell, which shows the edge. */
static void run_reads(void (*leave_a_call)(bool peeks))
{
    char bytes[11] = "0123456789";
    int ep = new_epoll();
    OK(pipe(fd));
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    leave_a_call(false);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(write(fd[1], bytes, 10), 10);
    EXPECT_ONE(ep, 1, EPOLLIN);
    pid_t child = OK(fork());
    if (child == 0)
        _exit(syscall(SYS_read, fd[0], bytes, 10) != 10);
    expect_exit_0(child);
    CHECK_EQ(write(fd[1], bytes, 5), 5);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

/* The library counts datagrams by peeking, which only one thread at a time can do. */
static void run_peeks(void (*leave_a_call)(bool peeks))
{
    char byte;
    int ep = new_epoll();
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    leave_a_call(true);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(write(fd[1], "x", 1), 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read(fd[0], &byte, 1), 1);
    EXPECT_NONE(ep);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    subject = "a read, cancelled";
    run_reads(cancel_a_call);
    subject = "a read, left by a jump";
    run_reads(jump_out_of_a_call);
    subject = "a peek, cancelled";
    run_peeks(cancel_a_call);
    subject = "a peek, cancelled in a thread that ends late";
    raise_descriptor_limit();
    for (int i = 0; i < 10000 && dup(STDIN_FILENO) != -1; i++)
        ;
    ends_late = true;
    for (int round = 0; round < 10; round++)
        run_peeks(cancel_a_call);
    closefrom(STDERR_FILENO + 1);
    ends_late = false;
    subject = "a peek, left by a jump";
    run_peeks(jump_out_of_a_call);
}

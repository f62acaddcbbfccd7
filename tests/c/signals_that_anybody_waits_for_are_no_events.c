/* Threads that block no signal, that wait for every signal, or that read every signal from a
 * signalfd, take no event from the threads that wait, and none of them gets a signal that nobody
 * sent (W8, W10). */
#include "harness.h"

#include <sys/signalfd.h>

#define N 20

static int ep, fd[N][2];
static sigset_t all;

static void *waits_for_signals(void *arg)
{
    siginfo_t info;
    CHECK_EQ(sigtimedwait(&all, &info, &(struct timespec){.tv_sec = 1}), -1);
    CHECK_EQ(errno, EAGAIN);
    return arg;
}

static void *blocks_none(void *arg)
{
    sigset_t none;
    sigemptyset(&none);
    PT(pthread_sigmask(SIG_SETMASK, &none, NULL));
    for (int64_t end = now_ns() + 500000000; now_ns() < end;)
        ;
    return arg;
}

static void everything_is_heard(void)
{
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++)
            write_bytes(fd[i][1], 1);
        struct events events = {0};
        for (int n = 0; n < N; n += events.n) {
            events = wait_events(ep, BOUND_MS);
            CHECK(events.n > 0);
            for (int i = 0; i < events.n; i++)
                CHECK_EQ(read_all(fd[events.at[i].data.u64][0]), 1);
        }
        EXPECT_NONE_NOW(ep);
    }
}

void test(void)
{
    sigfillset(&all);
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        if (i % 2)
            make_tcp(fd[i]);
        else
            make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 4 < 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    struct thread waiting, open;
    start_thread(&waiting, waits_for_signals, NULL);
    start_thread(&open, blocks_none, NULL);
    everything_is_heard();

    sigset_t none, pending;
    sigemptyset(&none);
    PT(pthread_sigmask(SIG_SETMASK, &none, NULL));
    everything_is_heard();
    PT(pthread_sigmask(SIG_SETMASK, &all, NULL));
    int taker = OK(signalfd(-1, &all, SFD_NONBLOCK));
    for (int i = 0; i < N; i++)
        write_bytes(fd[i][1], 1);
    OK(sigpending(&pending));
    for (int i = 1; i <= SIGRTMAX; i++)
        CHECK(!sigismember(&pending, i));
    struct signalfd_siginfo info;
    CHECK_ERRNO(read(taker, &info, sizeof info), EAGAIN);
    for (int i = 0; i < N; i++)
        CHECK_EQ(read_all(fd[i][0]), 1);
    everything_is_heard();
    join_thread(&waiting);
    join_thread(&open);
}

/* A handler that interrupts control calls may close and dup2 over watched descriptors: they are async-signal-safe (D1, T10). */
#include "harness.h"

static int watched, spare, replaced, closed;
static atomic_int handled;

static void on_alarm(int signal)
{
    (void)signal;
    int error = errno;
    OK(dup2(spare, replaced));
    OK(close(closed));
    closed = OK(dup(watched));
    atomic_fetch_add(&handled, 1);
    errno = error;
}

void test(void)
{
    int ep = new_epoll(), fd[2], other[2];
    make_pipe(fd);
    make_pipe(other);
    watched = fd[0];
    spare = other[0];
    replaced = OK(dup(watched));
    closed = OK(dup(watched));
    ADD(ep, watched, EPOLLIN, 1);
    ADD(ep, spare, EPOLLIN, 2);
    ADD(ep, replaced, EPOLLIN, 3);
    ADD(ep, closed, EPOLLIN, 4);

    struct sigaction action = {.sa_handler = on_alarm};
    OK(sigaction(SIGALRM, &action, NULL));
    timer_t timer;
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec often = {{0, 2000000}, {0, 2000000}}, never = {0};
    OK(timer_create(CLOCK_MONOTONIC, &how, &timer));
    OK(timer_settime(timer, 0, &often, NULL));
    alarm(0);
    for (int64_t end = now_ns() + 1500000000; now_ns() < end;) {
        MOD(ep, spare, EPOLLIN, 2);
        int twin = OK(dup(watched));
        ADD(ep, twin, EPOLLIN, 5);
        DEL(ep, twin);
        OK(close(twin));
        wait_events(ep, 0);
    }
    OK(timer_settime(timer, 0, &never, NULL));
    CHECK(atomic_load(&handled) > 50);

    /* What the handler closed is gone, the rest is as it was. */
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, replaced, EPOLLIN, 3), ENOENT);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(watched), 1);
    write_bytes(other[1], 1);
    EXPECT_ONE(ep, 2, EPOLLIN);
}

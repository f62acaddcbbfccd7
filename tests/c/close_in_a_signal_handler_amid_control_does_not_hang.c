/* A signal handler that interrupts control calls and waits may close watched descriptors and dup2
 * over them (D1, D2, T10). */
#include "harness.h"

static int watched, spare, replaced, closed;
static atomic_int victim = -1, handled;

static void on_alarm(int signal)
{
    (void)signal;
    int error = errno, fd = atomic_exchange(&victim, -1);
    OK(dup2(spare, replaced));
    OK(dup2(watched, replaced));
    OK(close(closed));
    CHECK_EQ(dup2(watched, closed), closed);
    if (fd != -1)
        OK(close(fd));
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
    ADD(ep, replaced, EPOLLIN, 2);
    ADD(ep, closed, EPOLLIN, 3);
    ADD(ep, spare, EPOLLIN, 4);

    struct sigaction action = {.sa_handler = on_alarm};
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec often = {{0, 2000000}, {0, 2000000}}, never = {{0, 0}, {0, 0}};
    timer_t timer;
    OK(sigaction(SIGALRM, &action, NULL));
    OK(timer_create(CLOCK_MONOTONIC, &how, &timer));
    OK(timer_settime(timer, 0, &often, NULL));
    /* On a busy system few signals arrive in that time. */
    for (int64_t end = now_ns() + 1500000000; now_ns() < end || atomic_load(&handled) <= 50;) {
        if (atomic_load(&victim) == -1) {
            int event = OK(eventfd(1, 0));
            ADD(ep, event, EPOLLIN, 5);
            atomic_store(&victim, event);
        }
        for (int i = 0; i < 50; i++)
            MOD(ep, spare, EPOLLIN, 4);
        epoll_wait(ep, &(struct epoll_event){0}, 1, 0);
    }
    OK(timer_settime(timer, 0, &never, NULL));
    if (atomic_load(&victim) != -1)
        OK(close(atomic_load(&victim)));

    /* Items without a descriptor are gone, the others are unchanged. */
    EXPECT_NONE_NOW(ep);
    write_bytes(fd[1], 1);
    write_bytes(other[1], 1);
    struct events events = wait_events(ep, 0);
    sort_by_data(&events);
    CHECK_EQ(events.n, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(events.at[i].data.u64, i + 1);
}

/* A read with EAGAIN just before an arrival does not turn the arrival into two edges: exactly one
 * of the waiting threads reports it, whichever facts the read left (W9, E1). */
#include "harness.h"
#include <sys/uio.h>

#define TIMES 50

static void start_two(struct waiter waiters[2], int ep)
{
    for (int i = 0; i < 2; i++)
        start_waiter(&waiters[i], ep);
}

/* Exactly one waiter has returned; ends the wait of the other. */
static void expect_one_of(struct waiter waiters[2], int stop)
{
    UNTIL(atomic_load(&waiters[1].done));
    CHECK_EQ(join_waiter(&waiters[1]), 1);
    CHECK_EQ(waiters[1].at[0].data.u64, 1);
    pause_ms(2);
    CHECK(!atomic_load(&waiters[0].done));
    add_one(stop);
    CHECK_EQ(join_waiter(&waiters[0]), 1);
    CHECK_EQ(waiters[0].at[0].data.u64, 2);
}

void test(void)
{
    struct waiter waiters[2];
    int ep = new_epoll(), stop = OK(eventfd(0, EFD_NONBLOCK)), timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    uint64_t number;
    ADD(ep, stop, EPOLLIN | EPOLLET, 2);

    subject = "timer";
    ADD(ep, timer, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < TIMES; i++) {
        start_two(waiters, ep);
        while (read(timer, &number, sizeof number) > 0)
            ;
        struct itimerspec soon = {.it_value.tv_nsec = 1};
        OK(timerfd_settime(timer, 0, &soon, NULL));
        expect_one_of(waiters, stop);
    }
    DEL(ep, timer);

    subject = "vmsplice";
    int fd[2];
    char bytes[2] = {0};
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < TIMES; i++) {
        start_two(waiters, ep);
        struct iovec iov = {bytes, 1};
        CHECK_EQ(vmsplice(fd[1], &iov, 1, SPLICE_F_NONBLOCK), 1);
        expect_one_of(waiters, stop);
        CHECK_EQ(read_all(fd[0]), 1);
    }
}

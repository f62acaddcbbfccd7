/* epoll_ctl works in a signal handler, even one that interrupted epoll_ctl on the same instance. */
#include "harness.h"

#include <sys/time.h>

#define HANDLERS 5000
static int ep, other, failed_with;
static atomic_int handlers;

static void on_signal(int signal)
{
    (void)signal;
    int error = errno;
    if (ctl(ep, EPOLL_CTL_MOD, other, EPOLLIN, 2) == -1)
        failed_with = errno;
    atomic_fetch_add(&handlers, 1);
    errno = error;
}

void test(void)
{
    struct itimerval often = {{0, 50}, {0, 50}}, never = {0};
    int64_t start = now_ns();
    int fd = OK(eventfd(0, 0));
    ep = new_epoll();
    other = OK(eventfd(0, 0));
    ADD(ep, fd, EPOLLIN, 1);
    ADD(ep, other, EPOLLIN, 2);
    signal(SIGALRM, on_signal);
    OK(setitimer(ITIMER_REAL, &often, NULL));
    while (atomic_load(&handlers) < HANDLERS && now_ns() - start < BOUND_MS * 1000000ll && !failed_with)
        MOD(ep, fd, EPOLLIN, 1);
    OK(setitimer(ITIMER_REAL, &never, NULL));
    CHECK_EQ(failed_with, 0);
    add_one(other);
    EXPECT_ONE(ep, 2, EPOLLIN);
}

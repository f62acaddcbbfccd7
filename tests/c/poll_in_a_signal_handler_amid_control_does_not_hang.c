/* A handler that interrupts control calls and closes polls an epoll descriptor, of the same
 * instance or of another one, and gets the levels that a wait would report (N1). */
#include "harness.h"

static int polled[3], loud, wrong;
static volatile sig_atomic_t handled;

static void on_alarm(int signal)
{
    (void)signal;
    int error = errno;
    struct pollfd p[3] = {{polled[0], POLLIN, 0}, {polled[1], POLLIN, 0}, {polled[2], POLLIN, 0}};
    poll(p, 3, 0);
    /* The second instance always has a ready item, the third never. */
    wrong += !(p[1].revents & POLLIN) || p[2].revents;
    handled++;
    errno = error;
}

void test(void)
{
    int ep = new_epoll(), other = new_epoll(), silent = new_epoll();
    polled[0] = ep;
    polled[1] = other;
    polled[2] = silent;
    loud = OK(eventfd(1, 0));
    ADD(other, loud, EPOLLIN, 1);
    int quiet[8];
    for (int i = 0; i < 8; i++) {
        quiet[i] = OK(eventfd(0, 0));
        ADD(other, quiet[i], EPOLLIN, 2);
        ADD(silent, quiet[i], EPOLLIN, 3);
    }

    struct sigaction action = {.sa_handler = on_alarm};
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}}, never = {{0, 0}, {0, 0}};
    timer_t timer;
    OK(sigaction(SIGALRM, &action, NULL));
    OK(timer_create(CLOCK_MONOTONIC, &how, &timer));
    OK(timer_settime(timer, 0, &often, NULL));
    /* On a busy system few signals arrive in that time. */
    for (int64_t end = now_ns() + 1500000000; now_ns() < end || handled <= 100;) {
        int event = OK(eventfd(1, 0));
        ADD(ep, event, EPOLLIN, 5);
        ADD(silent, event, 0, 5);
        for (int i = 0; i < 8; i++) {
            MOD(ep, event, EPOLLIN, 4);
            MOD(silent, quiet[i], EPOLLIN, 4);
        }
        epoll_wait(ep, &(struct epoll_event){0}, 1, 0);
        DEL(silent, event);
        OK(close(event));
    }
    OK(timer_settime(timer, 0, &never, NULL));
    CHECK_EQ(wrong, 0);
}

/* A signal that only the mask of the wait unblocks always ends the wait, at whatever moment it
 * arrives (W8). */
#include "harness.h"

#define ROUNDS 1500
static pthread_t target;
static atomic_int turn, handled;

static void on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

static void *sender(void *arg)
{
    (void)arg;
    for (int i = 1; i <= ROUNDS; i++) {
        while (atomic_load(&turn) < i)
            sched_yield();
        for (volatile int spin = i * 7 % 3000; spin > 0; spin--)
            ;
        PT(pthread_kill(target, SIGUSR1));
    }
    return NULL;
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    sigset_t blocked, open;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
    int ep = new_epoll(), fd = OK(eventfd(0, 0));
    struct epoll_event at;
    struct thread thread;
    ADD(ep, fd, EPOLLIN, 1);
    target = pthread_self();
    start_thread(&thread, sender, NULL);
    for (int i = 1; i <= ROUNDS; i++) {
        atomic_store(&turn, i);
        CHECK_ERRNO(wait_by(i % 2 ? PWAIT : PWAIT2, ep, &at, 1, BOUND_MS, &open), EINTR);
        CHECK_EQ(handled, i);
    }
    join_thread(&thread);
}

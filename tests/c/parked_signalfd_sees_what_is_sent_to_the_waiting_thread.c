/* A signal that is sent to one thread makes a signalfd readable in that thread alone; a look from
 * another thread misses it. A signalfd among many long-silent descriptors is reported like any
 * other. */
#include "harness.h"

#include <sys/signalfd.h>

enum { CROWD = 300, ROUNDS = 4000 };

void test(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &set, NULL));
    int ep = new_epoll(), busy = OK(eventfd(1, EFD_NONBLOCK)), signals = OK(signalfd(-1, &set, SFD_NONBLOCK));
    ADD(ep, signals, EPOLLIN, 1);
    ADD(ep, busy, EPOLLIN, 2);
    for (int i = 0; i < CROWD; i++)
        ADD(ep, OK(eventfd(0, EFD_NONBLOCK)), EPOLLIN, 10 + i);
    for (int i = 0; i < ROUNDS; i++)
        EXPECT_ONE(ep, 2, EPOLLIN);
    uint64_t one;
    CHECK_EQ(read(busy, &one, sizeof one), sizeof one);
    for (int i = 0; i < 3; i++) {
        struct signalfd_siginfo taken;
        OK(raise(SIGUSR1));
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read(signals, &taken, sizeof taken), sizeof taken);
        EXPECT_NONE_NOW(ep);
    }
}

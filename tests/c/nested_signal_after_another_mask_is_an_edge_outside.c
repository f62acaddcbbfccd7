/* A signal wakes every signalfd of an inner instance, whether its mask has the signal or not, also
 * after the signalfd got another mask. It is an edge outside if another item is ready inside. */
#include "harness.h"

#include <sys/signalfd.h>

static void set_mask(int *fd, int signal)
{
    sigset_t mask;
    sigemptyset(&mask);
    if (signal)
        sigaddset(&mask, signal);
    *fd = OK(signalfd(*fd, &mask, *fd < 0 ? SFD_NONBLOCK : 0));
}

static void take(int signal)
{
    sigset_t mask;
    int number;
    sigemptyset(&mask), sigaddset(&mask, signal);
    PT(sigwait(&mask, &number));
}

static void nested(uint32_t inside)
{
    int outer = new_epoll(), inner = new_epoll(), stays = OK(eventfd(1, EFD_NONBLOCK)), one = -1, other = -1;
    set_mask(&one, 0), set_mask(&other, 0);
    ADD(inner, stays, EPOLLIN, 1);
    ADD(inner, one, inside, 2);
    ADD(inner, other, inside, 3);
    ADD(outer, inner, EPOLLIN | EPOLLET, 4);
    EXPECT_ONE(outer, 4, EPOLLIN);
    static const int masks[] = {SIGUSR2, 0, SIGUSR2};
    for (int round = 0; round < 3; round++) {
        set_mask(&one, masks[round]);
        EXPECT_ONE(outer, 4, EPOLLIN);
        EXPECT_NONE_NOW(outer);
        OK(kill(getpid(), SIGUSR1));
        EXPECT_ONE(outer, 4, EPOLLIN);
        EXPECT_NONE_NOW(outer);
        take(SIGUSR1);
        EXPECT_NONE_NOW(outer);
    }
    OK(close(outer)), OK(close(inner)), OK(close(stays)), OK(close(one)), OK(close(other));
}

void test(void)
{
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1), sigaddset(&both, SIGUSR2);
    PT(pthread_sigmask(SIG_BLOCK, &both, NULL));
    static const uint32_t masks[] = {EPOLLIN, EPOLLRDNORM, EPOLLIN | EPOLLET};
    for (int i = 0; i < 3; i++)
        nested(masks[i]);
}

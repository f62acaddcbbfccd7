/* Edge-triggered: a signalfd that gets a new mask wakes all signalfds of the process, which report
 * their unread signals again; signals that the new mask accepts are readable. */
#include "harness.h"

#include <sys/signalfd.h>

void test(void)
{
    sigset_t both, first;
    sigemptyset(&first);
    sigaddset(&first, SIGUSR1);
    both = first;
    sigaddset(&both, SIGUSR2);
    PT(pthread_sigmask(SIG_BLOCK, &both, NULL));
    int ep = new_epoll(), one = OK(signalfd(-1, &first, SFD_NONBLOCK)), other = OK(signalfd(-1, &both, SFD_NONBLOCK));
    ADD(ep, one, EPOLLIN | EPOLLET, 1);
    OK(kill(getpid(), SIGUSR2));
    EXPECT_NONE(ep);
    OK(signalfd(one, &both, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE(ep);
    OK(signalfd(one, &both, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
    /* Through another signalfd, and by number. */
    OK(signalfd(other, &first, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(syscall(SYS_signalfd4, other, &both, 8, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE(ep);
    OK(signalfd(one, &first, 0));
    EXPECT_NONE(ep);
    OK(kill(getpid(), SIGUSR1));
    EXPECT_ONE(ep, 1, EPOLLIN);
}

/* Reading one of several signals from a signalfd is not an edge; a signal that arrives after it is,
 * even one that was just read (E1, E2). */
#include "harness.h"
#include <sys/signalfd.h>

void test(void)
{
    sigset_t set;
    sigemptyset(&set);
    int signals[] = {SIGHUP, SIGUSR1, SIGUSR2};
    for (int i = 0; i < 3; i++)
        sigaddset(&set, signals[i]);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    struct signalfd_siginfo info;
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK)), ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        OK(kill(getpid(), signals[i]));
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE(ep);
    }
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
        EXPECT_NONE(ep);
        OK(kill(getpid(), info.ssi_signo));
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE(ep);
        OK(kill(getpid(), info.ssi_signo)); /* pending already: not an arrival */
        EXPECT_NONE(ep);
    }
}

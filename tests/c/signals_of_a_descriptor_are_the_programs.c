/* A program that lets a watched descriptor send signals gets them, and its events too. Until then
 * the descriptor has no owner, no signal and no O_ASYNC, and keeps the flags that the program
 * sets (C3). */
#include "harness.h"

static volatile sig_atomic_t signals, last_fd;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    signals++;
    last_fd = info->si_fd;
}

static void expect_untouched(int fd)
{
    CHECK_EQ(OK(fcntl(fd, F_GETFL)) & (O_ASYNC | O_NONBLOCK), O_NONBLOCK);
    CHECK_EQ(OK(fcntl(fd, F_GETOWN)), 0);
    CHECK_EQ(OK(fcntl(fd, F_GETSIG)), 0);
}

static void expect_events(int ep, int fd[2])
{
    for (int i = 0; i < 3; i++) {
        EXPECT_NONE_NOW(ep);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read_all(fd[0]), 1);
    }
}

/* With the signal that the program asks for, by fcntl() or by ioctl(). */
static void with_signals(uint32_t edge, bool by_ioctl, int number)
{
    int ep = new_epoll(), fd[2];
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN | edge, 1);
    expect_events(ep, fd);
    CHECK_EQ(OK(fcntl(fd[0], F_GETFL)) & (O_ASYNC | O_NONBLOCK), O_NONBLOCK);
    OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
    expect_events(ep, fd);
    OK(fcntl(fd[0], F_SETFL, 0));
    CHECK_EQ(OK(fcntl(fd[0], F_GETFL)) & (O_ASYNC | O_NONBLOCK), 0);
    set_nonblocking(fd[0]);
    expect_events(ep, fd);
    expect_untouched(fd[0]);
    expect_events(ep, fd);

    signals = 0;
    OK(fcntl(fd[0], F_SETOWN, getpid()));
    OK(fcntl(fd[0], F_SETSIG, number == SIGIO ? 0 : number));
    if (by_ioctl)
        OK(ioctl(fd[0], FIOASYNC, &(int){1}));
    else
        OK(fcntl(fd[0], F_SETFL, O_NONBLOCK | O_ASYNC));
    CHECK_EQ(OK(fcntl(fd[0], F_GETFL)) & (O_ASYNC | O_NONBLOCK), O_ASYNC | O_NONBLOCK);
    CHECK_EQ(OK(fcntl(fd[0], F_GETOWN)), getpid());
    expect_events(ep, fd);
    CHECK(signals >= 3);
    if (number != SIGIO)
        CHECK_EQ(last_fd, fd[0]);
    OK(close(fd[0])), OK(close(fd[1])), OK(close(ep));
}

void test(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGRTMIN + 3, &action, NULL));
    for (int i = 0; i < 2; i++)
        with_signals(i ? EPOLLET : 0, i, SIGRTMIN + 3);
    OK(sigaction(SIGIO, &action, NULL));
    for (int i = 0; i < 2; i++)
        with_signals(i ? EPOLLET : 0, !i, SIGIO);
}

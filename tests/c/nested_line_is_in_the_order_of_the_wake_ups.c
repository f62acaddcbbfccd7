/* Registrations are on the ready list in the order of their wake-ups, whatever is added or modified
 * before a look. An outer look passes a registration that shows nothing if it is before the first
 * ready one, and only then is a change of its mask an edge of the outer instance (T6, N2). */
#include "harness.h"

#include <sys/signalfd.h>

static int outer, inner, signals;

static void send_again(void)
{
    OK(raise(SIGUSR1));
    struct signalfd_siginfo taken;
    CHECK_EQ(read(signals, &taken, sizeof taken), sizeof taken);
    OK(raise(SIGUSR1));
}

static void set_up(void)
{
    outer = new_epoll(), inner = new_epoll();
    ADD(inner, signals, EPOLLPRI, 2);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    EXPECT_NONE_NOW(outer);
}

static void tear_down(bool edge)
{
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    MOD(inner, signals, EPOLLIN, 2);
    if (edge)
        EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    OK(close(outer)), OK(close(inner));
}

void test(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &set, NULL));
    signals = OK(signalfd(-1, &set, SFD_NONBLOCK));
    OK(raise(SIGUSR1));
    int ready = OK(eventfd(1, EFD_NONBLOCK));

    set_up();
    send_again();
    ADD(inner, ready, EPOLLIN, 1);
    tear_down(true);

    set_up();
    ADD(inner, ready, EPOLLPRI, 1);
    send_again();
    MOD(inner, ready, EPOLLIN, 1);
    tear_down(true);

    set_up();
    ADD(inner, ready, EPOLLIN, 1);
    send_again();
    tear_down(false);

    /* A signal wakes the signalfd that was registered last before the others, whatever was modified
     * since. */
    ready = OK(dup(signals));
    for (int first = 0; first < 2; first++) {
        outer = new_epoll(), inner = new_epoll();
        ADD(outer, inner, EPOLLIN | EPOLLET, 3);
        ADD(inner, first ? signals : ready, first ? EPOLLPRI : EPOLLIN | EPOLLONESHOT, first ? 2 : 1);
        ADD(inner, first ? ready : signals, first ? EPOLLIN | EPOLLONESHOT : EPOLLPRI, first ? 1 : 2);
        EXPECT_ONE(inner, 1, EPOLLIN);
        MOD(inner, ready, EPOLLIN, 1);
        struct signalfd_siginfo taken;
        CHECK_EQ(read(signals, &taken, sizeof taken), sizeof taken);
        EXPECT_NONE_NOW(inner);
        (void)wait_events(outer, 0);
        OK(raise(SIGUSR1));
        tear_down(!first);
    }
}

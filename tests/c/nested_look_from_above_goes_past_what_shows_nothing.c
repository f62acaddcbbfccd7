/* A wait on the outermost of several instances removes from the inner ready lists each item that
 * was woken and shows nothing, however long ago it was woken and whatever other looks there were.
 * So it is an edge if the item is ready after a change of its mask; and an instance registered
 * without EPOLLIN is not reported when it is ready again (T6, N2). */
#include "harness.h"

#include <sys/signalfd.h>

static sigset_t set;

static void signals(useconds_t pause)
{
    int outer = new_epoll(), inner = new_epoll();
    int first = OK(signalfd(-1, &set, SFD_NONBLOCK)), second = OK(signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo taken;
    struct pollfd entry = {.fd = outer, .events = POLLIN};
    ADD(inner, first, EPOLLIN | EPOLLPRI, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    CHECK_EQ(poll(&entry, 1, 0), 0);
    OK(raise(SIGUSR1));
    CHECK_EQ(read(first, &taken, sizeof taken), sizeof taken);
    usleep(pause);
    EXPECT_NONE_NOW(outer);
    ADD(inner, second, EPOLLOUT, 2);
    /* Wakes the second item first. */
    OK(raise(SIGUSR1));
    usleep(pause);
    EXPECT_ONE(outer, 3, EPOLLIN);
    MOD(inner, second, EPOLLIN, 2);
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    CHECK_EQ(read(first, &taken, sizeof taken), sizeof taken);
    OK(close(outer)), OK(close(inner)), OK(close(first)), OK(close(second));
}

static void without_in(uint32_t mask, bool look)
{
    int outer = new_epoll(), inner = new_epoll(), innermost = new_epoll(), counter = OK(eventfd(1, EFD_NONBLOCK));
    eventfd_t value;
    ADD(innermost, counter, EPOLLOUT | EPOLLET, 1);
    ADD(outer, inner, mask, 3);
    ADD(inner, innermost, EPOLLRDNORM, 2);
    EXPECT_ONE(innermost, 1, EPOLLOUT);
    if (look)
        EXPECT_NONE_NOW(outer);
    OK(eventfd_read(counter, &value));
    if (look)
        EXPECT_NONE_NOW(inner);
    else
        EXPECT_ONE(inner, 2, EPOLLRDNORM);
    OK(close(outer)), OK(close(inner)), OK(close(innermost)), OK(close(counter));
}

void test(void)
{
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &set, NULL));
    /* About as long as a woken thread takes to look. */
    for (useconds_t pause = 0; pause < 1000; pause += 50)
        signals(pause);
    without_in(EPOLLIN, true), without_in(EPOLLIN, false);
    without_in(EPOLLIN | EPOLLET, true), without_in(EPOLLIN | EPOLLET, false);
}

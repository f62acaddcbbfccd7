/* An instance is readable to poll, ppoll, select and pselect exactly while a wait on it would
 * report an event (N1). */
#include "harness.h"

#include <sys/select.h>

static void readable(int ep, bool yes)
{
    struct pollfd p = {.fd = ep, .events = POLLIN | POLLOUT | POLLRDNORM};
    struct timespec zero = {0, 0};
    struct timeval none = {0, 0};
    fd_set in, out;
    for (int i = 0; i < 2; i++) {
        p.revents = 0;
        CHECK_EQ(i ? poll(&p, 1, 0) : ppoll(&p, 1, &zero, NULL), yes);
        CHECK_EQ(p.revents, yes ? POLLIN | POLLRDNORM : 0);
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_SET(ep, &in);
        FD_SET(ep, &out);
        CHECK_EQ(i ? select(ep + 1, &in, &out, NULL, &none) : pselect(ep + 1, &in, &out, NULL, &zero, NULL), yes);
        CHECK_EQ(FD_ISSET(ep, &in) != 0, yes);
        CHECK_EQ(FD_ISSET(ep, &out), 0);
    }
}

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    readable(ep, false);

    /* Level: readable until it is drained, waited for or not. */
    ADD(ep, fd[0], EPOLLIN, 1);
    readable(ep, false);
    write_bytes(fd[1], 1);
    readable(ep, true);
    EXPECT_ONE(ep, 1, EPOLLIN);
    readable(ep, true);
    read_all(fd[0]);
    readable(ep, false);

    /* Edge: readable until it is reported, though undrained; again with the next arrival. */
    MOD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    write_bytes(fd[1], 1);
    readable(ep, true);
    readable(ep, true);
    EXPECT_ONE(ep, 1, EPOLLIN);
    readable(ep, false);
    write_bytes(fd[1], 1);
    readable(ep, true);
    read_all(fd[0]);
    readable(ep, false);

    /* Oneshot: not readable when it is spent. */
    MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, 1);
    write_bytes(fd[1], 1);
    readable(ep, true);
    EXPECT_ONE(ep, 1, EPOLLIN);
    readable(ep, false);
    MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, 1);
    readable(ep, true);

    /* Closed and deleted. */
    OK(close(fd[0]));
    readable(ep, false);
    int other = OK(eventfd(1, 0));
    ADD(ep, other, EPOLLIN, 2);
    readable(ep, true);
    DEL(ep, other);
    readable(ep, false);
}

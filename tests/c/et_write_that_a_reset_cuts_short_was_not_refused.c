/* A write during which the connection is reset, and the reset is reported by another thread, is cut
 * short by the reset and not by a lack of space: the reported levels are not an edge again. The
 * report must come before the write returns, so the test repeats it often, and on one processor:
 * there the woken thread runs when the write is interrupted, and not between the two wake-ups of a
 * reset, which are two edges. */
#include <sched.h>

#include "harness.h"

static char bytes[1 << 20];

void test(void)
{
    int small = 16384, again = 0;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    OK(sched_setaffinity(0, sizeof one, &one));
    for (int i = 0; i < 60; i++) {
        int fd[2], ep = new_epoll();
        struct waiter waiter;
        make_tcp(fd);
        OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
        OK(shutdown(fd[1], SHUT_RDWR));
        UNTIL(poll(&(struct pollfd){.fd = fd[0], .events = POLLIN}, 1, 0) == 1);
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);

        start_waiter(&waiter, ep);
        CHECK(send(fd[0], bytes, 65536, MSG_NOSIGNAL) > 0);
        CHECK_EQ(join_waiter(&waiter), 1);
        /* The written data may have been acknowledged, and reported, first; the reset comes after
         * it. */
        while (!(waiter.at[0].events & EPOLLHUP))
            CHECK_EQ(wait_by(WAIT, ep, waiter.at, 1, BOUND_MS, NULL), 1);
        CHECK_ERRNO(send(fd[0], bytes, 1, MSG_NOSIGNAL), EPIPE);
        again += wait_at_most(ep, 1, 0).n;
        EXPECT_NONE_NOW(ep);
        OK(close(fd[0]));
        OK(close(fd[1]));
        OK(close(ep));
    }
    CHECK(again <= 4);
}

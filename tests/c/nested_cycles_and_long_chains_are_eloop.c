/* A cycle of instances, or the fifth link of a chain of them, is ELOOP; to itself it is EINVAL
 * (N3). */
#include "harness.h"

void test(void)
{
    /* Cycles of two and of three, and a graph without one. */
    int a = new_epoll(), b = new_epoll(), c = new_epoll();
    CHECK_ERRNO(ctl(a, EPOLL_CTL_ADD, a, EPOLLIN, 0), EINVAL);
    ADD(a, b, EPOLLIN, 0);
    CHECK_ERRNO(ctl(b, EPOLL_CTL_ADD, a, EPOLLIN, 0), ELOOP);
    ADD(b, c, EPOLLIN, 0);
    CHECK_ERRNO(ctl(c, EPOLL_CTL_ADD, a, EPOLLIN, 0), ELOOP);
    CHECK_ERRNO(ctl(c, EPOLL_CTL_ADD, b, EPOLLIN, 0), ELOOP);
    ADD(a, c, EPOLLIN, 0);
    DEL(a, b);
    ADD(b, a, EPOLLIN, 0);
    CHECK_ERRNO(ctl(a, EPOLL_CTL_ADD, b, EPOLLIN, 0), ELOOP);

    /* ELOOP comes before EEXIST and after EBADF. */
    CHECK_ERRNO(ctl(b, EPOLL_CTL_ADD, a, EPOLLIN, 0), EEXIST);
    CHECK_ERRNO(ctl(a, EPOLL_CTL_ADD, 999, EPOLLIN, 0), EBADF);

    /* A chain, built from below and from above, with a pipe at the bottom and without. */
    for (int pipe_below = 0; pipe_below < 2; pipe_below++)
        for (int from_above = 0; from_above < 2; from_above++) {
            int ep[6];
            for (int i = 0; i < 6; i++)
                ep[i] = new_epoll();
            if (pipe_below)
                ADD(ep[0], OK(eventfd(0, 0)), EPOLLIN, 0);
            for (int link = 1; link <= 5; link++) {
                int upper = from_above ? ep[6 - link] : ep[link], lower = from_above ? ep[5 - link] : ep[link - 1];
                if (link < 5)
                    ADD(upper, lower, EPOLLIN, 0);
                else
                    CHECK_ERRNO(ctl(upper, EPOLL_CTL_ADD, lower, EPOLLIN, 0), ELOOP);
            }
        }
}

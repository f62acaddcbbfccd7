/* EPOLLEXCLUSIVE is valid only with ADD, beside a few other bits, and not for an instance as the
 * target; MOD never accepts it (T7). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), inner = new_epoll(), fd = OK(eventfd(0, 0)), other = OK(eventfd(0, 0));

    /* Bits that are not allowed beside it. */
    uint32_t refused[] = {EPOLLRDHUP, EPOLLPRI, EPOLLONESHOT, EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLEXCLUSIVE | EPOLLIN | refused[i], 0), EINVAL);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, inner, EPOLLEXCLUSIVE | EPOLLIN, 0), EINVAL);

    /* Bits that are. */
    uint32_t allowed[] = {0, EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLWAKEUP, EPOLLET};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        ADD(ep, fd, EPOLLEXCLUSIVE | allowed[i], 0);
        DEL(ep, fd);
    }

    /* A MOD with it is EINVAL, registered or not, before ENOENT; so is any MOD of an exclusive
     * item. */
    ADD(ep, fd, EPOLLIN, 0);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLEXCLUSIVE | EPOLLIN, 0), EINVAL);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, other, EPOLLEXCLUSIVE | EPOLLIN, 0), EINVAL);
    DEL(ep, fd);
    ADD(ep, fd, EPOLLEXCLUSIVE | EPOLLIN, 3);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 0), EINVAL);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EEXIST);

    /* The item reports the bits that it was added for. */
    add_one(fd);
    EXPECT_ONE(ep, 3, EPOLLIN);
    DEL(ep, fd);
    EXPECT_NONE_NOW(ep);
}

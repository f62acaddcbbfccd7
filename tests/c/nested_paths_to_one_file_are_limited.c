/* A file can be reached from any number of instances directly, through one inner instance from 500
 * outer ones, through two from 100, through three from 50 and through four from 10. One more path
 * is EINVAL, and adds nothing (N3). */
#include "harness.h"

static const int limits[] = {0, 500, 100, 50, 10};

/* Adds instances on top of `ep` until one is refused; returns the last one. */
static int pile(int ep, int most, int error)
{
    int outer;
    for (int i = 0; i < most; i++) {
        outer = new_epoll();
        ADD(outer, ep, EPOLLIN, 1);
    }
    outer = new_epoll();
    if (error != 0) {
        CHECK_ERRNO(ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 1), error);
        CHECK_ERRNO(epoll_ctl(outer, EPOLL_CTL_DEL, ep, NULL), ENOENT);
    } else
        ADD(outer, ep, EPOLLIN, 1);
    return outer;
}

void test(void)
{
    raise_descriptor_limit();
    int fd[2];
    make_pipe(fd);

    /* Directly, without a limit. */
    for (int i = 0; i < 1100; i++) {
        int ep = new_epoll();
        ADD(ep, fd[0], EPOLLIN, 1);
        if (i % 2)
            OK(close(ep));
    }

    /* Through chains. */
    for (int links = 1; links <= 4; links++) {
        int other = OK(eventfd(1, EFD_NONBLOCK)), ep = new_epoll();
        ADD(ep, other, EPOLLIN, 1);
        int bottom = ep;
        for (int i = 1; i < links; i++) {
            int next = new_epoll();
            ADD(next, ep, EPOLLIN, 1);
            ep = next;
        }
        int outer = pile(ep, limits[links], EINVAL);

        /* An instance that is already registered is EEXIST, and with one path less another one can
         * be added. */
        int last = outer - 1;
        CHECK_ERRNO(ctl(last, EPOLL_CTL_ADD, ep, EPOLLIN, 1), EEXIST);
        DEL(last, ep);
        ADD(outer, ep, EPOLLIN, 1);
        CHECK_ERRNO(ctl(last, EPOLL_CTL_ADD, ep, EPOLLIN, 1), EINVAL);

        /* Each of them reports the event. Another file at the bottom has paths of its own. */
        EXPECT_ONE(outer, 1, EPOLLIN);
        ADD(bottom, fd[0], EPOLLIN, 2);
        CHECK_ERRNO(ctl(bottom, EPOLL_CTL_ADD, fd[0], EPOLLIN, 2), EEXIST);
        DEL(bottom, fd[0]);
        closefrom(other);
    }

    /* Paths are counted for a file, not for an instance: an instance without files can have any
     * number, and a file cannot be added to it then. */
    int empty = new_epoll();
    pile(empty, 600, 0);
    CHECK_ERRNO(ctl(empty, EPOLL_CTL_ADD, fd[0], EPOLLIN, 1), EINVAL);
    CHECK_ERRNO(epoll_ctl(empty, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
    closefrom(empty);

    /* Two inner instances share the limit of a file that is in both. */
    int a = new_epoll(), b = new_epoll(), shared = OK(eventfd(0, 0));
    ADD(a, shared, EPOLLIN, 1);
    ADD(b, shared, EPOLLIN, 1);
    pile(a, 299, 0);
    pile(b, 200, EINVAL);
}

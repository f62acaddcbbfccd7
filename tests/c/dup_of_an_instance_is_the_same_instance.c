/* Both numbers of a duplicated instance work in control calls and waits; it lives until the last
 * one is closed (D6). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    int twins[] = {dup(ep), dup2(ep, 300), dup3(ep, 301, O_CLOEXEC), fcntl(ep, F_DUPFD_CLOEXEC, 302)};
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 4; i++) {
        /* A registration made through one number exists through the other. */
        CHECK_ERRNO(ctl(twins[i], EPOLL_CTL_ADD, fd, EPOLLIN, 1), EEXIST);
        MOD(twins[i], fd, EPOLLIN | EPOLLET, 1);
        add_one(fd);
        EXPECT_ONE(i % 2 ? ep : twins[i], 1, EPOLLIN);
        EXPECT_NONE_NOW(i % 2 ? twins[i] : ep);
    }

    /* The first number is closed; a thread that waits on the other is still woken. */
    OK(close(ep));
    struct waiter waiter;
    start_waiter(&waiter, twins[1]);
    OK(close(twins[0]));
    add_one(fd);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 1), EBADF);
    OK(close(twins[1]));
    OK(close(twins[2]));
    add_one(fd);
    EXPECT_ONE(twins[3], 1, EPOLLIN);
}

/* Without CLOEXEC the number stays open over exec. The kernel's instance keeps its items; ours has
 * lost them and returns EINVAL. Either way it can be closed, and a new instance works (C3).
 * DIFFERS */
#include "harness.h"

void test(void)
{
    if (test_argv[1]) {
        int old = atoi(test_argv[1]), fd = OK(eventfd(1, 0)), ep = new_epoll();
        struct epoll_event at;
        CHECK(fcntl(old, F_GETFD) >= 0);
        if (on_the_kernel()) {
            EXPECT_ONE(old, 7, EPOLLIN);
            ADD(old, fd, EPOLLIN, 8);
        } else {
            CHECK_ERRNO(epoll_wait(old, &at, 1, 0), EINVAL);
            CHECK_ERRNO(ctl(old, EPOLL_CTL_ADD, fd, EPOLLIN, 8), EINVAL);
        }
        OK(close(old));
        CHECK_ERRNO(epoll_wait(old, &at, 1, 0), EBADF);
        ADD(ep, fd, EPOLLIN, 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        return;
    }
    int ep = OK(epoll_create1(0)), fd = OK(eventfd(1, 0));
    char number[16];
    ADD(ep, fd, EPOLLIN, 7);
    EXPECT_ONE(ep, 7, EPOLLIN);
    snprintf(number, sizeof number, "%d", ep);
    execl("/proc/self/exe", test_argv[0], number, (char *)NULL);
    die(__FILE__, __LINE__, "exec failed");
}

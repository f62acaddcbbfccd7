/* EPOLL_CLOEXEC closes the instance in the new program, which is not affected by the items of the
 * old one (C2, D1). */
#include "harness.h"

void test(void)
{
    if (test_argv[1]) {
        int number = atoi(test_argv[1]), fd = OK(eventfd(1, 0)), ep;
        struct epoll_event at;
        CHECK_EQ(fd, number);
        CHECK_ERRNO(epoll_wait(number, &at, 1, 0), EINVAL);
        ep = new_epoll();
        ADD(ep, fd, EPOLLIN, 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        return;
    }
    int ep = OK(epoll_create1(EPOLL_CLOEXEC)), fd = OK(eventfd(1, EFD_CLOEXEC));
    char number[16];
    ADD(ep, fd, EPOLLIN, 1);
    snprintf(number, sizeof number, "%d", ep);
    execl("/proc/self/exe", test_argv[0], number, (char *)NULL);
    die(__FILE__, __LINE__, "exec failed");
}

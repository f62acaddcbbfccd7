/* A sandbox that ends the process for any ioctl, as Chromium's does for those that it does not list,
 * takes level-triggered registrations of descriptors without an inode (T3, W1). */
#include "faults.h"

#include <sys/inotify.h>

void test(void)
{
    forbid_call(SYS_ioctl);
    int ep = new_epoll(), inner = new_epoll();
    int event = OK(eventfd(0, EFD_NONBLOCK)), timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    int notify = OK(inotify_init1(IN_NONBLOCK));
    ADD(ep, event, EPOLLIN, 1);
    ADD(ep, timer, EPOLLIN, 2);
    ADD(ep, notify, EPOLLIN, 3);
    ADD(ep, inner, EPOLLIN, 4);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(eventfd_write(event, 1), 0);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(eventfd_read(event, &(eventfd_t){0}), 0);
    OK(timerfd_settime(timer, 0, &(struct itimerspec){.it_value.tv_nsec = 1}, NULL));
    EXPECT_ONE(ep, 2, EPOLLIN);
}

/* DEL ignores its event: NULL, an address that faults, any content (T2). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(1, 0));
    struct epoll_event nonsense = {.events = EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLRDHUP, .data.u64 = 9};
    struct epoll_event *events[] = {NULL, (struct epoll_event *)0x10, (struct epoll_event *)-4096, &nonsense};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd, events[i]), ENOENT);
        ADD(ep, fd, EPOLLIN, 1);
        CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, fd, events[i]), 0);
        EXPECT_NONE_NOW(ep);
    }
}

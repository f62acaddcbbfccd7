/* poll() of an instance that is empty or idle reports nothing, and never POLLOUT (C4). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), event = OK(eventfd(0, 0));
    struct pollfd p = {.fd = ep, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    CHECK_EQ(poll(&p, 1, 0), 0);
    CHECK_EQ(poll(&p, 1, QUIET_MS), 0);

    ADD(ep, event, EPOLLIN, 1);
    CHECK_EQ(poll(&p, 1, 0), 0);

    /* The descriptor is ready, but no longer registered. */
    DEL(ep, event);
    add_one(event);
    CHECK_EQ(poll(&p, 1, 0), 0);
    ADD(ep, event, EPOLLIN, 1);
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents & (POLLIN | POLLOUT | POLLPRI | POLLRDHUP), POLLIN);
}

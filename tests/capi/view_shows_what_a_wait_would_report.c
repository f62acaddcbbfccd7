/* Waits that point at the events: the same events as from any wait, which stay as they are during the next such wait. */
#include "capi.h"

void test(void)
{
    int ep = new_epoll(), bell[3];
    for (int i = 0; i < 3; i++) {
        bell[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, bell[i], EPOLLIN | EPOLLET, (uint64_t)i);
    }
    const struct epoll_event *first, *second, *third;
    CHECK_EQ(epolyfill_wait_view(ep, &first, 8, 0), 0);
    add_one(bell[0]);
    add_one(bell[1]);
    CHECK_EQ(epolyfill_wait_view(ep, &first, 1, BOUND_MS), 1);
    CHECK_EQ(epolyfill_wait_view(ep, &second, EPOLYFILL_VIEW_MAX + 1, BOUND_MS), 1);
    CHECK(first != second);
    CHECK_EQ(first->events, EPOLLIN);
    CHECK_EQ(first->data.u64 + second->data.u64, 1);
    uint64_t data = second->data.u64;
    add_one(bell[2]);
    CHECK_EQ(epolyfill_wait_view(ep, &third, 8, BOUND_MS), 1);
    CHECK_EQ(third->data.u64, 2);
    CHECK_EQ(second->data.u64, data);

    /* What another wait takes meanwhile is not seen twice. */
    add_one(bell[2]);
    EXPECT_ONE(ep, 2, EPOLLIN);
    CHECK_EQ(epolyfill_wait_view(ep, &first, 8, 0), 0);
    CHECK_EQ(third->data.u64, 2);

    /* Errors take nothing. */
    add_one(bell[0]);
    CHECK_ERRNO(epolyfill_wait_view(ep, NULL, 8, 0), EFAULT);
    CHECK_ERRNO(epolyfill_wait_view(ep, &first, 0, 0), EINVAL);
    CHECK_ERRNO(epolyfill_wait_view(bell[0], &first, 8, 0), EINVAL);
    CHECK_ERRNO(epolyfill_wait_view(-1, &first, 8, 0), EBADF);
    CHECK_EQ(epolyfill_wait_view(ep, &first, 8, 0), 1);
    CHECK_EQ(first->data.u64, 0);
    for (int i = 0; i < 3; i++)
        OK(close(bell[i]));
    OK(close(ep));
}

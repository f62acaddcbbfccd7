/* The 64 bits of data mean nothing to epoll: equal values, zero and all ones are returned unchanged
 * (T4, W6). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll();
    uint64_t data[] = {0, 0, 1, 1, UINT64_MAX, 0x8000000000000000, 0xdeadbeef00000000, 0x00007ffffffff001};
    size_t n = sizeof data / sizeof *data;
    for (size_t i = 0; i < n; i++)
        ADD(ep, OK(eventfd(1, 0)), EPOLLIN, data[i]);
    struct events events = wait_events(ep, 0);
    CHECK_EQ(events.n, n);
    sort_by_data(&events);
    uint64_t sorted[] = {0, 0, 1, 1, 0x00007ffffffff001, 0x8000000000000000, 0xdeadbeef00000000, UINT64_MAX};
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(events.at[i].data.u64, sorted[i]);
}

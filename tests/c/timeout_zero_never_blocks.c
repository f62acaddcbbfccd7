/* Timeout 0 reports what is ready and returns at once when nothing is (W2). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, 0));
    struct epoll_event at;
    ADD(ep, fd, EPOLLIN, 1);

    /* If each slept for a millisecond, ten thousand would take ten seconds. */
    int64_t start = now_ns();
    for (int i = 0; i < 3334; i++)
        for (enum call call = WAIT; call <= PWAIT2; call++)
            CHECK_EQ(wait_by(call, ep, &at, 1, 0, NULL), 0);
    CHECK(now_ns() - start < 5000000000ll);

    add_one(fd);
    for (enum call call = WAIT; call <= PWAIT2; call++)
        CHECK_EQ(wait_by(call, ep, &at, 1, 0, NULL), 1);
}

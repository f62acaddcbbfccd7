/* epoll_create() refuses a size that is not positive and ignores any other (C1). */
#include "harness.h"

void test(void)
{
    CHECK_ERRNO(epoll_create(0), EINVAL);
    CHECK_ERRNO(epoll_create(-1), EINVAL);

    /* Two instances of the smallest and the largest size hold more than one item. */
    int sizes[] = {1, 0x7fffffff};
    for (int i = 0; i < 2; i++) {
        int ep = OK(epoll_create(sizes[i])), a = OK(eventfd(1, 0)), b = OK(eventfd(1, 0));
        CHECK_EQ(fcntl(ep, F_GETFD), 0);
        ADD(ep, a, EPOLLIN, 1);
        ADD(ep, b, EPOLLIN, 2);
        CHECK_EQ(wait_events(ep, 0).n, 2);
        OK(close(a));
        OK(close(b));
        OK(close(ep));
    }
}

/* An exclusive registration that is added in one more instance while its descriptor is ready is
 * reported there like any other (T6), although another instance has reported the event and not
 * consumed it; a later arrival wakes one of them again (X1). */
#include "harness.h"

void test(void)
{
    const uint32_t modes[] = {0, EPOLLET};
    for (int m = 0; m < 2; m++) {
        int first = new_epoll(), second = new_epoll(), third = new_epoll(), fd = OK(eventfd(1, EFD_NONBLOCK));
        ADD(first, fd, EPOLLIN | EPOLLEXCLUSIVE, 1);
        EXPECT_ONE(first, 1, EPOLLIN);
        ADD(second, fd, EPOLLIN | EPOLLEXCLUSIVE | modes[m], 2);
        EXPECT_ONE(second, 2, EPOLLIN);

        /* Level-triggered, it is reported while the level is high; edge-triggered, once. */
        if (modes[m])
            EXPECT_NONE_NOW(second);
        else
            EXPECT_ONE(second, 2, EPOLLIN);
        EXPECT_ONE(first, 1, EPOLLIN);
        uint64_t value;
        CHECK_EQ(read(fd, &value, 8), 8);
        EXPECT_NONE_NOW(first);
        EXPECT_NONE_NOW(second);

        /* Added while nothing was ready: at least one of the three gets the next event. */
        ADD(third, fd, EPOLLIN | EPOLLEXCLUSIVE, 3);
        EXPECT_NONE_NOW(third);
        add_one(fd);
        CHECK(wait_events(first, 0).n + wait_events(second, 0).n + wait_events(third, 0).n >= 1);
        OK(close(first));
        OK(close(second));
        OK(close(third));
        OK(close(fd));
    }
}

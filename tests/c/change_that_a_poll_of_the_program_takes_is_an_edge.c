/* A change that the program's own poll has consumed is not reported, but its wake-up is an edge: an
 * edge-triggered registration reports the other bits that are high. */
#include <poll.h>

#include "changes.h"

void test(void)
{
    FOR_EACH_CHANGING(file, fd)
    {
        int level = new_epoll(), edge = new_epoll();
        ADD(level, fd, EPOLLPRI, 1);
        ADD(edge, fd, EPOLLIN | EPOLLPRI | EPOLLET, 2);
        expect_one_or_none(edge, 2, reported(EPOLLIN, file->always));
        for (int i = 0; i < 3; i++) {
            struct pollfd own = {fd, POLLIN | POLLPRI, 0};
            file->change();
            CHECK_EQ(poll(&own, 1, BOUND_MS), 1);
            CHECK_EQ(own.revents, file->shown & (EPOLLIN | EPOLLPRI | EPOLLERR));
            EXPECT_NONE_NOW(level);
            expect_one_or_none(edge, 2, reported(EPOLLIN, file->always));
            EXPECT_NONE_NOW(edge);
        }
        OK(close(level));
        OK(close(edge));
        OK(close(fd));
    }
}

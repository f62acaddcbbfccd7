/* A change that a file shows to only one look is reported once by an outer instance, whose look
 * consumes it; the inner instance reports its other levels. Without a change nothing is reported,
 * though the file is always readable. */
#include <poll.h>

#include "changes.h"

static void try(const struct changing *file, int fd, uint32_t mask, uint32_t outer_edge)
{
    int inner = new_epoll(), outer = new_epoll();
    uint32_t shown = reported(mask, file->shown), always = reported(mask, file->always);
    ADD(inner, fd, mask, 1);
    ADD(outer, inner, EPOLLIN | outer_edge, 2);
    if (always != 0) {
        EXPECT_ONE(outer, 2, EPOLLIN);
        EXPECT_ONE(inner, 1, always);
    }
    EXPECT_NONE(outer);
    for (int i = 0; i < 3 && shown != 0; i++) {
        /* By a wait outside. */
        file->change();
        EXPECT_ONE(outer, 2, EPOLLIN);
        if (!outer_edge && always != 0)
            EXPECT_ONE(outer, 2, EPOLLIN);
        else
            EXPECT_NONE_NOW(outer);
        expect_one_or_none(inner, 1, always);
        EXPECT_NONE_NOW(inner);
        EXPECT_NONE_NOW(outer);

        /* By a wait inside. */
        file->change();
        EXPECT_ONE(inner, 1, shown);
        EXPECT_NONE_NOW(inner);
        EXPECT_NONE_NOW(outer);

        /* By a poll of the inner descriptor. */
        struct pollfd own = {inner, POLLIN, 0};
        file->change();
        CHECK_EQ(poll(&own, 1, BOUND_MS), 1);
        CHECK_EQ(poll(&own, 1, 0), always != 0);
        expect_one_or_none(inner, 1, always);
        EXPECT_NONE_NOW(outer);
    }
    EXPECT_NONE(outer);
    OK(close(inner));
    OK(close(outer));
}

void test(void)
{
    FOR_EACH_CHANGING(file, fd)
    {
        for (int outer_edge = 0; outer_edge < 2; outer_edge++) {
            try(file, fd, EPOLLIN | EPOLLET, outer_edge ? EPOLLET : 0);
            try(file, fd, EPOLLIN | EPOLLPRI | EPOLLET, outer_edge ? EPOLLET : 0);
            try(file, fd, EPOLLPRI, outer_edge ? EPOLLET : 0);
            try(file, fd, EPOLLET, outer_edge ? EPOLLET : 0);
        }
        OK(close(fd));
    }
}

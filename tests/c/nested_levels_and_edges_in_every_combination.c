/* Outer level or edge, inner level or edge: each instance keeps its own list (N2). */
#include "harness.h"

void test(void)
{
    for (int combination = 0; combination < 4; combination++) {
        uint32_t outer_edge = combination & 1 ? EPOLLET : 0, inner_edge = combination & 2 ? EPOLLET : 0;
        int outer = new_epoll(), inner = new_epoll(), fd[2];
        make_pipe(fd);
        ADD(inner, fd[0], EPOLLIN | inner_edge, 1);
        ADD(outer, inner, EPOLLIN | outer_edge, 2);
        EXPECT_NONE_NOW(outer);
        for (int i = 0; i < 3; i++) {
            write_bytes(fd[1], 1);

            /* The outer one: as often as it likes when level, once when edge. It consumes nothing
             * of the inner one. */
            EXPECT_ONE(outer, 2, EPOLLIN);
            if (outer_edge)
                EXPECT_NONE_NOW(outer);
            else
                EXPECT_ONE(outer, 2, EPOLLIN);

            /* A second arrival on top is one more event of the inner one, so one more edge of the
             * outer. */
            write_bytes(fd[1], 1);
            EXPECT_ONE(outer, 2, EPOLLIN);
            EXPECT_ONE(inner, 1, EPOLLIN);

            /* Reported and undrained: the inner one is ready still when it is level. */
            if (inner_edge) {
                EXPECT_NONE_NOW(inner);
                EXPECT_NONE_NOW(outer);
            } else {
                EXPECT_ONE(inner, 1, EPOLLIN);
                if (outer_edge)
                    EXPECT_NONE_NOW(outer);
                else
                    EXPECT_ONE(outer, 2, EPOLLIN);
            }
            CHECK_EQ(read_all(fd[0]), 2);
            EXPECT_NONE_NOW(inner);
            EXPECT_NONE_NOW(outer);
        }
        EXPECT_NONE(outer);
    }
}

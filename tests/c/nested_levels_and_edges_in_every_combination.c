/* Outer level or edge, inner level or edge: each instance keeps its own ready list (N2). */
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

            /* The outer instance reports in every wait if level-triggered, once if edge-triggered.
             * It consumes nothing of the inner one. */
            EXPECT_ONE(outer, 2, EPOLLIN);
            if (outer_edge)
                EXPECT_NONE_NOW(outer);
            else
                EXPECT_ONE(outer, 2, EPOLLIN);

            /* A second arrival on top of the first is another event of the inner instance, so
             * another edge of the outer one. */
            write_bytes(fd[1], 1);
            EXPECT_ONE(outer, 2, EPOLLIN);
            EXPECT_ONE(inner, 1, EPOLLIN);

            /* Reported and undrained: the inner instance is still ready if it is
             * level-triggered. */
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

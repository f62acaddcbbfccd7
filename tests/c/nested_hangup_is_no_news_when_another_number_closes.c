/* A hang-up inside that was reported is not another edge of the outer instance when one of several
 * numbers of the open file description is closed, even the last one (D1, D2, N2). */
#include "harness.h"

void test(void)
{
    int outer = new_epoll(), inner = new_epoll(), ready = OK(eventfd(1, EFD_NONBLOCK)), ends[2];
    make_pipe(ends);
    int twin = OK(dup(ends[0]));
    ADD(inner, ends[0], EPOLLET, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 2);
    OK(close(ends[1]));
    EXPECT_ONE(inner, 1, EPOLLHUP);
    ADD(inner, ready, EPOLLIN, 3);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    OK(close(ends[0]));
    EXPECT_NONE_NOW(outer);
    OK(close(twin));
    EXPECT_NONE_NOW(outer);
    EXPECT_ONE(inner, 3, EPOLLIN);
    OK(close(outer)), OK(close(inner)), OK(close(ready));
}

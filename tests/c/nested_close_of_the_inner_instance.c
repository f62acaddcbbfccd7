/* Closing an inner instance removes it from the outer one; closing the outer one does not change
 * the inner one (D1, N2). */
#include "harness.h"

void test(void)
{
    int outer = new_epoll(), inner = new_epoll(), fd = OK(eventfd(1, 0));
    ADD(inner, fd, EPOLLIN, 1);
    ADD(outer, inner, EPOLLIN, 2);
    EXPECT_ONE(outer, 2, EPOLLIN);
    OK(close(inner));
    EXPECT_NONE(outer);

    inner = new_epoll();
    ADD(inner, fd, EPOLLIN, 3);
    ADD(outer, inner, EPOLLIN, 4);
    EXPECT_ONE(outer, 4, EPOLLIN);
    int twin = OK(dup(inner));
    OK(close(inner));
    EXPECT_ONE(outer, 4, EPOLLIN);
    OK(close(outer));
    EXPECT_ONE(twin, 3, EPOLLIN);
}

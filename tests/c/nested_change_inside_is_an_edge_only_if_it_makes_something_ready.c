/* ADD and MOD inside are edges of the instance's descriptor if the item is ready by its mask and
 * was not before (T6, N2). */
#include "harness.h"

void test(void)
{
    int outer = new_epoll(), inner = new_epoll(), ready = OK(eventfd(1, EFD_NONBLOCK)), pair[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    ADD(inner, ready, EPOLLIN, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 2);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    MOD(inner, ready, EPOLLIN, 1);
    EXPECT_NONE_NOW(outer);

    /* The unread data inside matches no bit of the mask; a later arrival still wakes the item. */
    write_bytes(pair[1], 1);
    ADD(inner, pair[0], EPOLLRDBAND | EPOLLET, 3);
    EXPECT_NONE_NOW(outer);
    MOD(inner, pair[0], EPOLLPRI | EPOLLET, 3);
    EXPECT_NONE_NOW(outer);
    write_bytes(pair[1], 1);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    EXPECT_ONE(inner, 1, EPOLLIN);
    MOD(inner, pair[0], EPOLLIN, 3);
    EXPECT_ONE(outer, 2, EPOLLIN);
    MOD(inner, pair[0], EPOLLIN, 3);
    EXPECT_NONE_NOW(outer);

    /* An arrival is an edge even if the item is deleted after it. */
    write_bytes(pair[1], 1);
    DEL(inner, pair[0]);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    OK(close(outer)), OK(close(inner)), OK(close(ready)), OK(close(pair[0])), OK(close(pair[1]));
}

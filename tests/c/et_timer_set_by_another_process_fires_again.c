/* A timer with an unread expiration is an edge again when another process sets it anew (E1).
 * DIFFERS. */
#include "kinds.h"

void test(void)
{
    struct specimen s;
    make(&s, kind_named("timerfd"));
    int ep = new_epoll();
    ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            feed(&s);
            _exit(0);
        }
        expect_exit_0(child);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    discard(&s);
}

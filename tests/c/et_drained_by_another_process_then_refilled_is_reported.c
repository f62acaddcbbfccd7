/* Another process that shares the open file description drains it, and the same amount arrives
 * again: an edge (E1, E6). */
#include "kinds.h"

static void remotely(void (*act)(struct specimen *), struct specimen *s)
{
    pid_t child = OK(fork());
    if (child == 0) {
        act(s);
        _exit(0);
    }
    expect_exit_0(child);
}

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        if (strcmp(kind->name, "signalfd") == 0)
            continue; /* The content depends on the process that reads it. */
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        for (int i = 0; i < 3; i++) {
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            remotely(drain, &s);
        }
        EXPECT_NONE_NOW(ep);
        OK(close(ep));
        discard(&s);
    }
}

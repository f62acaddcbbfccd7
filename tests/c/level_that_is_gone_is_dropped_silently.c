/* An item that became ready and was emptied before the wait is not reported, and does not end the
 * wait early (W7). */
#include "kinds.h"

void test(void)
{
    uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
    FOR_EACH_KIND(kind, 0, 0)
    {
        for (int i = 0; i < 3; i++) {
            struct specimen s;
            make(&s, kind);
            int ep = new_epoll();
            ADD(ep, s.fd, modes[i], 1);
            feed(&s);
            struct pollfd p = {.fd = s.fd, .events = POLLIN};
            CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
            drain(&s);
            EXPECT_NONE_NOW(ep);
            feed(&s);
            CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
            drain(&s);
            int64_t start = now_ns();
            EXPECT_NONE(ep);
            CHECK(now_ns() - start >= QUIET_MS * 1000000ll);

            /* The item is still armed, even a one-shot one. */
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            OK(close(ep));
            discard(&s);
        }
    }
}

/* After its report a one-shot item is silent, whatever arrives, until MOD, which reports the
 * current levels (W5). */
#include "kinds.h"

void test(void)
{
    uint32_t modes[] = {EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLONESHOT | EPOLLET};
    FOR_EACH_KIND(kind, 0, 0)
    {
        for (int i = 0; i < 2; i++) {
            struct specimen s;
            make(&s, kind);
            int ep = new_epoll();
            ADD(ep, s.fd, modes[i], 1);
            feed(&s);
            EXPECT_ONE(ep, 1, EPOLLIN);
            EXPECT_NONE_NOW(ep);
            feed(&s);
            EXPECT_NONE(ep);

            /* MOD reports the pending data, with its new user data, once. */
            MOD(ep, s.fd, modes[i], 2);
            EXPECT_ONE(ep, 2, EPOLLIN);
            EXPECT_NONE_NOW(ep);

            /* Drained while it was spent: MOD reports nothing, the next arrival is reported. */
            drain(&s);
            MOD(ep, s.fd, modes[i], 3);
            EXPECT_NONE_NOW(ep);
            feed(&s);
            EXPECT_ONE(ep, 3, EPOLLIN);

            /* It is still registered. */
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, s.fd, EPOLLIN, 0), EEXIST);
            OK(close(ep));
            discard(&s);
        }
    }
}

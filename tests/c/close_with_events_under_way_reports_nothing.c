/* A descriptor that is closed between the arrival and the wait is not reported, whatever was ready
 * (D1). */
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
            int keep = OK(eventfd(0, 0)); /* gives discard() an open descriptor to close */
            struct pollfd p = {.fd = s.fd, .events = POLLIN};
            CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
            if (s.extra >= 0 || strcmp(kind->name, "signalfd") == 0)
                drain(&s);
            OK(dup2(keep, s.fd));
            EXPECT_NONE_NOW(ep);
            EXPECT_NONE(ep);
            s.kind = kind_named("eventfd");
            subject = kind->name;
            OK(close(keep));
            OK(close(ep));
            discard(&s);
        }
    }
}

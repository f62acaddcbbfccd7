/* Bytes that were taken from one open file description do not count for the next one: its arrivals
 * are edges while older ones are unread (E1). */
#include "kinds.h"

static void take_the_most_from_an_eventfd(int ep)
{
    int fd = OK(eventfd(0, EFD_NONBLOCK));
    uint64_t most = UINT64_MAX - 1, taken;
    ADD(ep, fd, EPOLLIN | EPOLLET, 7);
    CHECK_EQ(write(fd, &most, sizeof most), sizeof most);
    EXPECT_ONE(ep, 7, EPOLLIN);
    CHECK_EQ(read(fd, &taken, sizeof taken), sizeof taken);
    CHECK_EQ(taken, most);
    OK(close(fd));
}

void test(void)
{
    int ep = new_epoll();
    FOR_EACH_KIND(kind, PARTS, 0) {
        for (int i = 0; i < 4; i++)
            take_the_most_from_an_eventfd(ep);
        struct specimen s;
        make(&s, kind);
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
        feed(&s);
        EXPECT_BITS(ep, 1, EPOLLIN);
        feed(&s);
        EXPECT_BITS(ep, 1, EPOLLIN);
        discard(&s);
    }
}

/* A change that a file shows to one look only is reported to the first of several registrations
 * that is waited for; edge-triggered ones among the others are woken, and report the other bits
 * that are high. The same holds under a second number of the file. */
#include "changes.h"

static void try(const struct changing *file, int fd, uint32_t edge)
{
    int second = OK(dup(fd)), one = new_epoll(), other = new_epoll(), both = new_epoll();
    uint32_t mask = EPOLLIN | EPOLLPRI | edge, shown = reported(mask, file->shown);
    uint32_t rest = edge ? reported(mask, file->always) : 0;

    ADD(one, fd, mask, 1);
    ADD(other, second, mask, 2);
    expect_one_or_none(one, 1, reported(mask, file->always));
    expect_one_or_none(other, 2, reported(mask, file->always));
    for (int i = 0; i < 4; i++) {
        int first = i % 2 ? one : other, last = i % 2 ? other : one;
        file->change();
        EXPECT_ONE(first, i % 2 ? 1 : 2, shown);
        expect_one_or_none(last, i % 2 ? 2 : 1, edge ? rest : reported(mask, file->always));
        if (edge) {
            EXPECT_NONE_NOW(first);
            EXPECT_NONE_NOW(last);
        }
    }
    OK(close(one));
    OK(close(other));

    /* The registration added last is woken first. */
    ADD(both, fd, EPOLLIN | EPOLLPRI | EPOLLET, 1);
    ADD(both, second, EPOLLIN | EPOLLPRI | EPOLLET, 2);
    CHECK_EQ(wait_events(both, 0).n, reported(EPOLLIN, file->always) ? 2 : 0);
    for (int i = 0; i < 3; i++) {
        file->change();
        struct events events = wait_at_most(both, 1, BOUND_MS);
        CHECK_EQ(events.n, 1);
        CHECK_EQ(events.at[0].data.u64, 2);
        CHECK_EQ(events.at[0].events, shown);
        expect_one_or_none(both, 1, reported(EPOLLIN | EPOLLPRI, file->always));
        EXPECT_NONE_NOW(both);
    }
    EXPECT_NONE(both);
    OK(close(both));
    OK(close(second));
}

void test(void)
{
    FOR_EACH_CHANGING(file, fd)
    {
        try(file, fd, 0);
        try(file, fd, EPOLLET);
        OK(close(fd));
    }
}

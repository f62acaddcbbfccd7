/* An exclusive registration reports a change that a file shows to one look only: alone, and with
 * rivals, where the first that is waited for reports it. */
#include "changes.h"

static void try(const struct changing *file, int fd, uint32_t edge)
{
    uint32_t mask = EPOLLIN | edge | EPOLLEXCLUSIVE, shown = reported(EPOLLIN, file->shown);
    int one = new_epoll(), other = new_epoll();

    ADD(one, fd, mask, 1);
    expect_one_or_none(one, 1, reported(EPOLLIN, file->always));
    for (int i = 0; i < 3; i++) {
        file->change();
        EXPECT_ONE(one, 1, shown);
    }
    ADD(other, fd, mask, 2);
    expect_one_or_none(other, 2, reported(EPOLLIN, file->always));
    for (int i = 0; i < 4; i++) {
        int first = i % 2 ? one : other;
        file->change();
        EXPECT_ONE(first, i % 2 ? 1 : 2, shown);
        wait_events(i % 2 ? other : one, 0);
    }
    OK(close(one));
    OK(close(other));
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

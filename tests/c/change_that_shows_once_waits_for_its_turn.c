/* A change that a file shows to one look only is not lost when more items are ready than the array
 * has room for. */
#include "changes.h"

static void try(const struct changing *file, int fd, uint32_t mask, int others)
{
    int ep = new_epoll(), other[80];
    for (int i = 0; i < others; i++) {
        other[i] = OK(eventfd(1, EFD_NONBLOCK));
        ADD(ep, other[i], EPOLLIN, i);
        if (i == others / 2)
            ADD(ep, fd, mask, 1000);
    }
    for (int round = 0; round < 3; round++) {
        int seen = 0;
        file->change();
        for (int i = 0; i < 2 * others + 2; i++) {
            struct events events = wait_at_most(ep, 1, BOUND_MS);
            CHECK_EQ(events.n, 1);
            if (events.at[0].data.u64 == 1000 && seen++ == 0)
                CHECK_EQ(events.at[0].events, reported(mask, file->shown));
        }
        CHECK_EQ(seen, 1);
    }
    for (int i = 0; i < others; i++)
        OK(close(other[i]));
    OK(close(ep));
}

void test(void)
{
    FOR_EACH_CHANGING(file, fd)
    {
        uint32_t mask = file->shown & EPOLLPRI ? EPOLLPRI : EPOLLIN;
        for (int edge = 0; edge < 2; edge++) {
            try(file, fd, mask | (edge ? EPOLLET : 0), 3);
            try(file, fd, mask | (edge ? EPOLLET : 0), 80);
        }
        OK(close(fd));
    }
}

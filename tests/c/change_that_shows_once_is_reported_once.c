/* A change that a file shows to one look only is reported exactly once, by level and by edge,
 * whatever the mask. A control call also looks and consumes it, unless the call fails. */
#include "changes.h"

static const uint32_t masks[] = {0, EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLIN | EPOLLPRI, EPOLLOUT | EPOLLPRI};

static void expect_as_registered(int ep, uint32_t mask, uint32_t always)
{
    expect_one_or_none(ep, 7, reported(mask, always));
    expect_one_or_none(ep, 7, mask & EPOLLET ? 0 : reported(mask, always));
}

static void try(const struct changing *file, int fd, uint32_t mask)
{
    int ep = new_epoll();

    /* The look of ADD consumes an earlier change. */
    file->change();
    ADD(ep, fd, mask, 7);
    expect_as_registered(ep, mask, file->always);
    for (int i = 0; i < 3; i++) {
        file->change();
        if (i == 1)
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, mask, 8), EEXIST);
        if (i == 2)
            file->change();
        expect_one_or_none(ep, 7, reported(mask, file->shown));
        expect_one_or_none(ep, 7, mask & EPOLLET ? 0 : reported(mask, file->always));
    }

    /* So does the look of MOD. */
    file->change();
    MOD(ep, fd, mask, 7);
    expect_as_registered(ep, mask, file->always);

    /* A spent one-shot reports no change until it is re-armed, and then none from before that. */
    file->change();
    MOD(ep, fd, mask | EPOLLONESHOT, 7);
    if (reported(mask, file->always) != 0)
        EXPECT_ONE(ep, 7, reported(mask, file->always));
    file->change();
    if (reported(mask, file->always) == 0)
        expect_one_or_none(ep, 7, reported(mask, file->shown));
    file->change();
    EXPECT_NONE_NOW(ep);

    if (mask & EPOLLET)
        EXPECT_NONE(ep);
    OK(close(ep));
}

void test(void)
{
    FOR_EACH_CHANGING(file, fd)
    {
        for (unsigned i = 0; i < 2 * sizeof masks / sizeof *masks; i++)
            try(file, fd, masks[i / 2] | (i % 2 ? EPOLLET : 0));
        OK(close(fd));
    }
}

/* A change that a file shows to one look only wakes a waiting thread, alone and among many idle
 * descriptors, in an instance and in an outer one; of several waiting threads it wakes one. */
#include "changes.h"

enum { CHANGES = 20 };

static void wait_for_it(const struct changing *file, int ep, uint32_t bits, int waiters)
{
    struct waiter waiter[2];
    for (int i = 0; i < CHANGES; i++) {
        for (int w = 0; w < waiters; w++)
            start_waiter(&waiter[w], ep);
        file->change();
        UNTIL(waiter[0].done || waiter[waiters - 1].done);
        if (waiters > 1 && bits & EPOLLPRI) {
            pause_ms(1);
            CHECK(!waiter[0].done || !waiter[1].done);
            file->change();
        }
        for (int w = 0; w < waiters; w++) {
            CHECK_EQ(join_waiter(&waiter[w]), 1);
            CHECK_EQ(waiter[w].at[0].events, bits);
        }
    }
    EXPECT_NONE(ep);
}

static void try(const struct changing *file, int fd, uint32_t mask, int idle)
{
    int ep = new_epoll(), inner = new_epoll(), pipes[200][2];
    for (int i = 0; i < idle; i++) {
        make_pipe(pipes[i]);
        ADD(ep, pipes[i][0], EPOLLIN, i);
    }
    ADD(ep, fd, mask, 1000);
    for (int i = 0; i < 200; i++)
        EXPECT_NONE_NOW(ep);
    for (int waiters = 1; waiters <= 2; waiters++)
        wait_for_it(file, ep, reported(mask, file->shown), waiters);
    DEL(ep, fd);

    ADD(inner, fd, mask, 1000);
    ADD(ep, inner, EPOLLIN | EPOLLET, 1001);
    wait_for_it(file, ep, EPOLLIN, 1);
    OK(close(inner));
    for (int i = 0; i < idle; i++) {
        OK(close(pipes[i][0]));
        OK(close(pipes[i][1]));
    }
    OK(close(ep));
}

void test(void)
{
    raise_descriptor_limit();
    FOR_EACH_CHANGING(file, fd)
    {
        if (!(file->shown & EPOLLPRI))
            continue; /* threads other than the waiter change it */
        for (int edge = 0; edge < 2; edge++) {
            try(file, fd, EPOLLPRI | (edge ? EPOLLET : 0), 0);
            try(file, fd, EPOLLPRI | (edge ? EPOLLET : 0), 200);
        }
    }
}

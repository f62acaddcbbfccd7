/* A descriptor that is added while a thread waits wakes it, whether it is ready already or later,
 * in an empty instance or a full one (T6). */
#include "harness.h"

void test(void)
{
    uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLEXCLUSIVE};
    for (int i = 0; i < 16; i++) {
        bool ready = i & 4, full = i & 8;
        int ep = new_epoll(), fd[2];
        if (full)
            for (int j = 0; j < 20; j++)
                ADD(ep, OK(eventfd(0, 0)), EPOLLIN, 100 + j);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        make_pipe(fd);
        if (ready)
            write_bytes(fd[1], 1);
        ADD(ep, fd[0], modes[i & 3], 1);
        if (!ready) {
            wait_until_blocked(waiter.thread.tid);
            write_bytes(fd[1], 1);
        }
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 1);
        CHECK_EQ(waiter.at[0].events, EPOLLIN);
    }
}

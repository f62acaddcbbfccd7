/* A mask that is modified while a thread waits takes effect at once: a new bit wakes the thread, a
 * removed one does not (T6). */
#include "harness.h"

void test(void)
{
    for (int edge = 0; edge < 2; edge++) {
        uint32_t mode = edge ? EPOLLET : 0;
        int ep = new_epoll(), fd[2];
        make_pair(SOCK_STREAM, fd);

        /* Added: the item is always writable. */
        ADD(ep, fd[0], EPOLLIN | mode, 1);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        MOD(ep, fd[0], EPOLLOUT | mode, 2);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 2);
        CHECK_EQ(waiter.at[0].events, EPOLLOUT);

        /* Removed: an arrival is not reported any more. */
        MOD(ep, fd[0], EPOLLIN | mode, 3);
        start_waiter(&waiter, ep);
        MOD(ep, fd[0], EPOLLPRI | mode, 4);
        write_bytes(fd[1], 1);
        pause_ms(20);
        wait_until_blocked(waiter.thread.tid);

        /* Added again, with other data. */
        MOD(ep, fd[0], EPOLLIN | mode, 5);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 5);
    }
}

/* A thread keeps waiting on an instance that another thread closed, and gets its event (W11). */
#include "harness.h"

void test(void)
{
    for (int road = 0; road < 3; road++) {
        int ep = new_epoll(), fd[2], null = OK(open("/dev/null", O_RDONLY));
        make_pipe(fd);
        ADD(ep, fd[0], EPOLLIN, 1);
        struct waiter waiter;
        start_waiter(&waiter, ep);
        if (road == 0)
            OK(close(ep));
        else if (road == 1)
            OK(dup2(null, ep));
        else
            OK(close_range(ep, ep, 0));
        pause_ms(20);
        wait_until_blocked(waiter.thread.tid);
        write_bytes(fd[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 1);
        struct epoll_event at;
        CHECK_ERRNO(epoll_wait(ep, &at, 1, 0), road == 1 ? EINVAL : EBADF);
    }
}

/* A pidfd is readable when its process ends, which is one edge (W4). */
#include "harness.h"

void test(void)
{
    for (int blocked = 0; blocked < 2; blocked++) {
        int go[2], ep = new_epoll();
        OK(pipe(go));
        pid_t child = OK(fork());
        if (child == 0) {
            char byte;
            OK(close(go[1]));
            CHECK_EQ(read(go[0], &byte, 1), 0);
            _exit(0);
        }
        int pidfd = OK(syscall(SYS_pidfd_open, child, 0));
        ADD(ep, pidfd, EPOLLIN | EPOLLET, 1);
        EXPECT_NONE_NOW(ep);
        struct waiter waiter;
        if (blocked)
            start_waiter(&waiter, ep);
        OK(close(go[1]));
        if (blocked) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLIN);
        } else {
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        EXPECT_NONE(ep);
        MOD(ep, pidfd, EPOLLIN, 2);
        EXPECT_ONE(ep, 2, EPOLLIN);
        expect_exit_0(child);
    }
}

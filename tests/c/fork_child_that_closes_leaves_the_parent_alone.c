/* A child that closes its copies of all descriptors, by any call, removes nothing from its parent
 * (D5, D1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int road = 0; road < 5; road++) {
        pid_t child = OK(fork());
        if (child == 0) {
            if (road == 0)
                OK(close(fd[0]));
            if (road == 1)
                OK(dup2(fd[1], fd[0]));
            if (road == 2)
                OK(close(ep));
            if (road == 3)
                closefrom(3);
            if (road == 4)
                OK(syscall(SYS_close, fd[0]));
            exit(0);
        }
        expect_exit_0(child);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd[0], EPOLLIN, 1), EEXIST);
    }

    /* The parent's own close does remove the item. */
    OK(close(fd[0]));
    EXPECT_NONE(ep);
}

/* An arrival or a control call in the inner instance wakes a thread that sleeps in the outer wait
 * (N2, T6). */
#include "harness.h"

void test(void)
{
    for (int combination = 0; combination < 12; combination++) {
        uint32_t outer_edge = combination & 1 ? EPOLLET : 0, inner_edge = combination & 2 ? EPOLLET : 0;
        int cause = combination / 4, outer = new_epoll(), inner = new_epoll(), fd[2];
        make_pipe(fd);
        if (cause == 0)
            ADD(inner, fd[0], EPOLLIN | inner_edge, 1);
        else
            write_bytes(fd[1], 1);
        if (cause == 2)
            ADD(inner, fd[0], EPOLLPRI | inner_edge, 1);
        ADD(outer, inner, EPOLLIN | outer_edge, 2);
        for (int i = 0; i < 3; i++) {
            struct waiter waiter;
            start_waiter(&waiter, outer);
            if (cause == 0)
                write_bytes(fd[1], 1);
            else
                CHECK_EQ(ctl(inner, cause == 1 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd[0], EPOLLIN | inner_edge, 1), 0);
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].data.u64, 2);
            EXPECT_ONE(inner, 1, EPOLLIN);
            if (cause == 0)
                read_all(fd[0]);
            else if (cause == 1)
                DEL(inner, fd[0]);
            else
                MOD(inner, fd[0], EPOLLPRI | inner_edge, 1);

            /* A wait on the inner instance drops items that are not ready any more; MOD is not an
             * edge for an item that is still on its ready list. */
            EXPECT_NONE_NOW(inner);
            EXPECT_NONE_NOW(outer);
        }
    }
}

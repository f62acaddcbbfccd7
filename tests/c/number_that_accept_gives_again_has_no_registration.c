/* A connection that was closed by a raw system call, and whose number accept() returns for the next
 * connection at once, reports nothing of it (D1, D3). */
#include "oracle.h"

void test(void)
{
    for (int watched = 0; watched < 2; watched++)
        for (int by_number = 0; by_number < 2; by_number++) {
            int ep = new_epoll(), listener = tcp_listener(), first = tcp_client_of(listener), fd;
            if (watched)
                ADD(ep, listener, EPOLLIN | EPOLLET, 9);
            UNTIL((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1);
            if (watched)
                wait_events(ep, 0);
            ADD(ep, fd, EPOLLIN, 1);
            write_bytes(first, 1);
            EXPECT_ONE(ep, 1, EPOLLIN);
            int second = tcp_client_of(listener);
            write_bytes(second, 1);
            if (watched)
                wait_events(ep, 0);
            CHECK_EQ(bare(SYS_close, fd, 0, 0, 0, 0, 0), 0);
            int again;
            UNTIL((again = by_number ? syscall(SYS_accept4, listener, NULL, NULL, SOCK_NONBLOCK)
                                     : accept(listener, NULL, NULL)) != -1);
            CHECK_EQ(again, fd);
            struct pollfd p = {.fd = fd, .events = POLLIN};
            CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
            EXPECT_NONE_NOW(ep);
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 2), ENOENT);
            ADD(ep, fd, EPOLLIN, 2);
            EXPECT_ONE(ep, 2, EPOLLIN);
            int all[] = {ep, listener, first, second, fd};
            for (int i = 0; i < 5; i++)
                OK(close(all[i]));
        }
}

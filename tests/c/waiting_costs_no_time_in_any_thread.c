/* Several threads that sleep in waits, with unread edges beside them, use next to no processor time
 * together (W4, W9). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), stop = OK(eventfd(0, 0)), fd[2];
    struct waiter waiters[8];
    ADD(ep, stop, EPOLLIN, 9);
    for (int i = 0; i < 50; i++) {
        make_pair(SOCK_STREAM, fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, i);
        write_bytes(fd[1], 1);
        if (i % 3 == 0)
            OK(close(fd[1]));
    }
    while (wait_events(ep, QUIET_MS).n > 0)
        ;
    for (int i = 0; i < 8; i++)
        start_waiter(&waiters[i], ep);
    int64_t before = cpu_ns();
    pause_ms(300);
    CHECK(cpu_ns() - before < 30000000);
    add_one(stop);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(join_waiter(&waiters[i]), 1);
}

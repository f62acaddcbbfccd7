/* ADD, MOD and DEL return while other threads sleep in waits on the same instance, thousands of
 * times per second (T6, T10). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), stop = OK(eventfd(0, 0)), fd[2];
    struct waiter waiters[3];
    make_pipe(fd);
    ADD(ep, stop, EPOLLIN, 9);
    for (int i = 0; i < 3; i++)
        start_waiter(&waiters[i], ep);
    int64_t start = now_ns();
    for (int i = 0; i < 2000; i++) {
        ADD(ep, fd[0], EPOLLIN, 1);
        MOD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        DEL(ep, fd[0]);
    }
    CHECK(now_ns() - start < 5000000000ll);
    for (int i = 0; i < 3; i++)
        CHECK(!atomic_load(&waiters[i].done));
    add_one(stop);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(join_waiter(&waiters[i]), 1);
        CHECK_EQ(waiters[i].at[0].data.u64, 9);
    }
}

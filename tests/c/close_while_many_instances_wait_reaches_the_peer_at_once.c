/* A descriptor that many instances watch, with a thread waiting on each, is closed: the peer sees
 * the end at once (D4). */
#include "harness.h"

#define INSTANCES 16

void test(void)
{
    struct waiter waiters[INSTANCES];
    int fd[2], stop = OK(eventfd(0, 0)), ep[INSTANCES];
    make_pair(SOCK_STREAM, fd);
    for (int i = 0; i < INSTANCES; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], fd[0], EPOLLIN, 1);
        ADD(ep[i], stop, EPOLLIN, 2);
        start_waiter(&waiters[i], ep[i]);
    }
    OK(close(fd[0]));
    expect_eof_at_once(fd[1]);
    add_one(stop);
    for (int i = 0; i < INSTANCES; i++) {
        CHECK_EQ(join_waiter(&waiters[i]), 1);
        CHECK(waiters[i].at[0].data.u64 == 2);
    }
}

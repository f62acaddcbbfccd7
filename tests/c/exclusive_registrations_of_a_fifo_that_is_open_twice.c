/* Of the exclusive registrations of a FIFO one is woken, even if it is open through several
 * descriptions, because they share one wait queue (X1). The thread sleeps, so that only a wake-up
 * makes it look at the level. */
#include "harness.h"

void test(void)
{
    char path[] = "/tmp/epolyfill-fifo-XXXXXX";
    OK(close(OK(mkstemp(path))));
    OK(unlink(path));
    OK(mkfifo(path, 0600));
    int one = OK(open(path, O_RDWR | O_NONBLOCK)), other = OK(open(path, O_RDWR | O_NONBLOCK)), ep = new_epoll();
    OK(unlink(path));
    ADD(ep, one, EPOLLIN | EPOLLEXCLUSIVE, 1);
    ADD(ep, other, EPOLLIN | EPOLLEXCLUSIVE, 2);
    EXPECT_NONE_NOW(ep);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    write_bytes(one, 1);
    CHECK_EQ(join_waiter(&waiter), 1);
}

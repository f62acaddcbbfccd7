/* A close of a descriptor that another thread waits for takes effect at once: the peer reads end of
 * file (D4). */
#include "kinds.h"

void test(void)
{
    const char *names[] = {"pipe", "fifo", "unix stream", "tcp", "unix seqpacket"};
    for (int i = 0; i < 5; i++)
        for (int mode = 0; mode < 6; mode++) {
            struct specimen s;
            make(&s, kind_named(names[i]));
            subject = names[i];
            int ep = new_epoll(), other = OK(eventfd(0, 0));

            /* The watched end is the one that the peer's read depends on. */
            uint32_t masks[] = {EPOLLIN, EPOLLIN | EPOLLET, 0, EPOLLONESHOT, EPOLLIN | EPOLLRDHUP | EPOLLET, EPOLLPRI};
            ADD(ep, s.feeder, masks[mode], 1);
            ADD(ep, other, EPOLLIN, 2);
            struct waiter waiter;
            start_waiter(&waiter, ep);
            OK(close(s.feeder));
            expect_eof_at_once(s.fd);
            s.feeder = -1;

            /* The waiter did not wake up. */
            wait_until_blocked(waiter.thread.tid);
            add_one(other);
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].data.u64, 2);
            OK(close(other));
            OK(close(ep));
            discard(&s);
        }
}

/* When the peer reads after a write was refused with EAGAIN, OUT is an edge, each time (E4). */
#include "kinds.h"

#include <linux/sockios.h>

/* Whether the peer has acknowledged all that was sent; a late acknowledgement frees space, and so
 * is an edge. */
static bool is_acknowledged(int fd)
{
    int queued = 0, not_sent = 0;
    return ioctl(fd, SIOCOUTQNSD, &not_sent) == -1 || (OK(ioctl(fd, SIOCOUTQ, &queued)) == 0 && queued == not_sent);
}

static void run(int writer, int reader, int writer_flags)
{
    int ep = new_epoll();
    ADD(ep, writer, EPOLLOUT | EPOLLET | writer_flags, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        size_t all = fill(writer), taken = 0;
        CHECK(all > 0);

        /* The edges that filling itself caused are over; none comes while the peer does not
         * read. */
        do {
            all += fill(writer);
            UNTIL(is_acknowledged(writer));
        } while (wait_events(ep, QUIET_MS).n > 0);
        if (i == 1) {
            /* The peer reads while a thread sleeps. */
            struct waiter waiter;
            start_waiter(&waiter, ep);
            UNTIL((taken += read_all(reader)) >= all);
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLOUT);
            continue;
        }
        UNTIL((taken += read_all(reader)) >= all);
        struct events events = wait_events(ep, BOUND_MS);
        CHECK_EQ(events.n, 1);
        CHECK_EQ(events.at[0].events, EPOLLOUT);
        CHECK_EQ(write(writer, "arrival", 8), 8);
        read_all(reader);
    }
    OK(close(ep));
}

void test(void)
{
    const char *names[] = {"pipe", "fifo", "unix stream", "unix seqpacket", "unix dgram", "tcp"};
    for (int i = 0; i < 6; i++) {
        struct specimen s;
        make(&s, kind_named(names[i]));
        subject = names[i];
        run(s.feeder, s.fd, 0);
        discard(&s);
    }
}

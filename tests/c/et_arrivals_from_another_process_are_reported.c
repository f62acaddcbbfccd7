/* Arrivals from another process are edges like those from this one, after a drain or on top of
 * unread data, before the wait or during it (E1, E6). */
#include "kinds.h"

static int command[2], answer[2];

static void feed_remotely(void)
{
    char byte = 0;
    CHECK_EQ(write(command[1], &byte, 1), 1);
    CHECK_EQ(read(answer[0], &byte, 1), 1);
}

static void feed_it_remotely(struct specimen *s)
{
    (void)s;
    feed_remotely();
}

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        /* This kind has its own test: et_timer_set_by_another_process_fires_again.c. */
        if (strcmp(kind->name, "timerfd") == 0)
            continue;
        struct specimen s;
        make(&s, kind);
        OK(pipe(command));
        OK(pipe(answer));
        pid_t child = OK(fork());
        if (child == 0) {
            OK(close(command[1]));
            for (char byte; read(command[0], &byte, 1) == 1;) {
                feed(&s);
                CHECK_EQ(write(answer[1], &byte, 1), 1);
            }
            _exit(0);
        }
        int ep = new_epoll();
        ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);

        /* Unread, before the wait. */
        for (int i = 0; i < 3; i++) {
            feed_remotely();
            EXPECT_ONE(ep, 1, EPOLLIN);
        }

        /* Unread, while a thread sleeps. */
        for (int i = 0; i < 3; i++)
            expect_arrival_to_wake(&s, ep, feed_it_remotely);

        /* Drained each time, and as much arrives as was taken. */
        drain(&s);
        for (int i = 0; i < 3; i++) {
            feed_remotely();
            EXPECT_ONE(ep, 1, EPOLLIN);
            drain(&s);
        }
        feed_remotely();
        EXPECT_ONE(ep, 1, EPOLLIN);
        for (int i = 0; i < 3; i++) {
            take_arrival(&s);
            feed_remotely();
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        OK(close(command[1]));
        expect_exit_0(child);
        OK(close(command[0]));
        OK(close(answer[0]));
        OK(close(answer[1]));
        OK(close(ep));
        discard(&s);
    }
}

/* Freed space is an edge even if the program fills it again before it waits; the report shows the
 * other high levels (E4, W4). */
#include "harness.h"

static bool is_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return OK(poll(&p, 1, 0)) == 1;
}

void test(void)
{
    static char bulk[1 << 16];
    for (int tcp = 0; tcp < 2; tcp++) {
        int fd[2], ep = new_epoll();
        subject = tcp ? "tcp" : "unix stream";
        if (tcp)
            make_tcp(fd);
        else
            make_pair(SOCK_STREAM, fd);
        write_bytes(fd[1], 1); /* stays unread */
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        fill(fd[0]);
        struct events first = wait_events(ep, 0);
        CHECK(first.n == 0 || (first.n == 1 && first.at[0].events == EPOLLIN));
        for (int round = 0; round < 3; round++) {
            size_t there = 0;
            for (ssize_t n; (n = read(fd[1], bulk, sizeof bulk)) > 0;)
                there += n;
            /* A TCP socket accepts a byte before a third of its buffer is free, and wakes its
             * writers only then. */
            UNTIL(is_writable(fd[0]));
            CHECK(fill(fd[0]) > 0);
            CHECK(there > 0);
            /* TCP may have found more space by now. */
            struct events again = wait_events(ep, BOUND_MS);
            CHECK_EQ(again.n, 1);
            CHECK_EQ(again.at[0].events & ~EPOLLOUT, EPOLLIN);
            /* A round begins with a write that was refused: without one, space is no edge. */
            do
                fill(fd[0]);
            while (wait_events(ep, QUIET_MS).n > 0);
        }
    }
}

/* Space that a wait or a look found, and did not report, is an edge even if it is filled before the
 * next wait: the report shows the other high levels (E4, W4). */
#include "harness.h"

static int fd[2];

static bool has_levels(int number, short levels)
{
    struct pollfd entry = {.fd = number, .events = levels};
    return OK(poll(&entry, 1, 0)) == 1 && (entry.revents & levels) == levels;
}

/* Makes a connection with an unread byte and a full buffer, both already reported. */
static void begin(int ep)
{
    make_tcp(fd);
    write_bytes(fd[1], 1);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    do { /* under load a late acknowledgement can free space */
        fill(fd[0]);
        while (wait_events(ep, QUIET_MS).n > 0)
            ;
    } while (has_levels(fd[0], POLLOUT));
}

static void make_room(void)
{
    UNTIL((read_all(fd[1]), has_levels(fd[0], POLLOUT)));
}

static void expect_edge(int ep)
{
    struct events again = wait_events(ep, BOUND_MS);
    CHECK_EQ(again.n, 1);
    CHECK_EQ(again.at[0].data.u64, 1);
    CHECK_EQ(again.at[0].events & ~EPOLLOUT, EPOLLIN);
}

/* The registration is behind another one in the ready list, and this process does not fill the
 * buffer again. */
static void behind_another(void)
{
    int ep = new_epoll(), before = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, before, EPOLLIN | EPOLLET, 2);
    begin(ep);
    OK(eventfd_write(before, 1));
    make_room();
    struct events first = wait_at_most(ep, 1, 0);
    CHECK_EQ(first.n, 1);
    CHECK_EQ(first.at[0].data.u64, 2);
    pid_t child = OK(fork());
    if (child == 0) {
        fill(fd[0]);
        _exit(0);
    }
    CHECK_EQ(OK(waitpid(child, NULL, 0)), child);
    expect_edge(ep);
}

/* An outer look found the space. */
static void inside(void)
{
    int inner = new_epoll(), outer = new_epoll();
    ADD(outer, inner, 0, 3);
    begin(inner);
    make_room();
    EXPECT_NONE_NOW(outer);
    fill(fd[0]);
    CHECK(has_levels(inner, POLLIN));
    expect_edge(inner);
}

void test(void)
{
    behind_another();
    inside();
}

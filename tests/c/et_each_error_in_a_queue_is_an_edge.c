/* Each entry that is added to a socket's error queue, here a timestamp of sent data, is an edge,
 * also while older entries are unread. Taking one of several entries is an edge, taking the last
 * one is not; the next entry is an edge, even without a wait in between (E1). */
#include "harness.h"
#include <linux/net_tstamp.h>

static int take_errors(int fd, int most)
{
    int taken = 0;
    char data[256], control[512];
    while (taken < most) {
        struct iovec part = {data, sizeof data};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        taken++;
    }
    return taken;
}

static bool has_error(int fd)
{
    return poll(&(struct pollfd){.fd = fd}, 1, 0) == 1;
}

static void stamp(int fd)
{
    write_bytes(fd, 1);
    UNTIL(has_error(fd));
}

static void edges(bool tcp)
{
    int ep = new_epoll(), fd[2], stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    subject = tcp ? "tcp" : "udp";
    if (tcp)
        make_tcp(fd);
    else
        make_udp(fd);
    if (setsockopt(fd[0], SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps) < 0)
        exit(77);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        stamp(fd[0]);
        EXPECT_ONE(ep, 1, EPOLLERR);
        EXPECT_NONE(ep);
    }
    CHECK_EQ(take_errors(fd[0], 1), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    CHECK_EQ(take_errors(fd[0], 1), 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    CHECK_EQ(take_errors(fd[0], 9), 1);
    EXPECT_NONE(ep);
    for (int i = 0; i < 3; i++) {
        stamp(fd[0]);
        EXPECT_ONE(ep, 1, EPOLLERR);
        CHECK_EQ(take_errors(fd[0], 9), 1);
        if (i > 0)
            EXPECT_NONE_NOW(ep);
    }
    /* Data and errors, each while the other is unread. */
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        stamp(fd[0]);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLERR);
        if (i == 0) {
            write_bytes(fd[1], 1);
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLERR);
        }
        CHECK_EQ(take_errors(fd[0], 9), 1);
        EXPECT_NONE(ep);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    read_all(fd[0]);
    EXPECT_NONE(ep);
    /* For a thread that sleeps, and for an outer instance. */
    struct waiter waiter;
    stamp(fd[0]);
    EXPECT_ONE(ep, 1, EPOLLERR);
    start_waiter(&waiter, ep);
    stamp(fd[0]);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].events, EPOLLERR);
    start_waiter(&waiter, ep);
    CHECK_EQ(take_errors(fd[0], 1), 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].events, EPOLLERR);
    int outer = new_epoll();
    ADD(outer, ep, EPOLLIN | EPOLLET, 2);
    wait_events(outer, 0);
    EXPECT_NONE_NOW(outer);
    stamp(fd[0]);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLERR);
    EXPECT_NONE(outer);
    CHECK_EQ(take_errors(fd[0], 9), 2);
    stamp(fd[0]);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_ONE(ep, 1, EPOLLERR);
    /* Level-triggered, as long as an entry is queued; and one-shot. */
    MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    stamp(fd[0]);
    EXPECT_NONE(ep);
    MOD(ep, fd[0], EPOLLIN, 1);
    EXPECT_ONE(ep, 1, EPOLLERR);
    EXPECT_ONE(ep, 1, EPOLLERR);
    CHECK_EQ(take_errors(fd[0], 9), 2);
    EXPECT_NONE(ep);
}

void test(void)
{
    edges(false);
    edges(true);
}

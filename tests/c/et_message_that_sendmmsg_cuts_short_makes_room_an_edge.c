/* sendmmsg counts a message that it cuts short as sent. The message met no space, so when the peer
 * reads, OUT is an edge (E4). */
#include "harness.h"

#include <sys/uio.h>

static char bytes[1 << 24];

static void run(int writer, int reader)
{
    int ep = new_epoll();
    ADD(ep, writer, EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        struct iovec parts[2] = {{bytes, 1}, {bytes, sizeof bytes}};
        struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}},
                                      {.msg_hdr = {.msg_iov = &parts[1], .msg_iovlen = 1}}};
        CHECK_EQ(sendmmsg(writer, messages, 2, MSG_DONTWAIT), 2);
        size_t all = 1 + messages[1].msg_len, taken = 0;
        CHECK(all < sizeof bytes);

        /* The edges that the call itself caused are over. */
        while (wait_events(ep, QUIET_MS).n > 0)
            all += fill(writer);
        UNTIL((taken += read_all(reader)) >= all);
        struct events events = wait_events(ep, BOUND_MS);
        CHECK_EQ(events.n, 1);
        CHECK_EQ(events.at[0].events, EPOLLOUT);
    }
    OK(close(ep));
}

void test(void)
{
    int fd[2];
    subject = "tcp";
    make_tcp(fd);
    set_nonblocking(fd[0]);
    set_nonblocking(fd[1]);
    run(fd[0], fd[1]);
    subject = "unix stream";
    make_pair(SOCK_STREAM, fd);
    run(fd[0], fd[1]);
}

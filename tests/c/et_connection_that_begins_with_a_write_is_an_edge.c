/* A TCP socket that was reported as not connected, and whose first write connects it
 * (MSG_FASTOPEN), has an edge: for a later wait, for a thread that sleeps, and for an outer
 * instance (E3). */
#include "harness.h"
#include <netinet/in.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

enum how { SENDTO, SENDMSG, SENDMMSG, BY_NUMBER, SENDMSG_BY_NUMBER, SENDMMSG_BY_NUMBER, HOWS };

static long begin(enum how how, int fd, struct sockaddr_in *to)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct mmsghdr message = {.msg_hdr = {.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &part, .msg_iovlen = 1}};
    int flags = MSG_FASTOPEN | MSG_NOSIGNAL;
    switch (how) {
    case SENDTO:
        return sendto(fd, &byte, 1, flags, (struct sockaddr *)to, sizeof *to);
    case SENDMSG:
        return sendmsg(fd, &message.msg_hdr, flags);
    case SENDMMSG:
        return sendmmsg(fd, &message, 1, flags);
    case BY_NUMBER:
        return syscall(SYS_sendto, fd, &byte, 1, flags, to, sizeof *to);
    case SENDMSG_BY_NUMBER:
        return syscall(SYS_sendmsg, fd, &message.msg_hdr, flags);
    default:
        return syscall(SYS_sendmmsg, fd, &message, 1, flags);
    }
}

void test(void)
{
    int listener = tcp_listener();
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    for (int i = 0; i < 3 * HOWS; i++) {
        int ep = new_epoll(), outer = new_epoll(), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        bool sleeps = i % 3 == 1, nested = i % 3 == 2;
        int waited_on = nested ? outer : ep;
        ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
        if (nested)
            ADD(outer, ep, EPOLLIN | EPOLLET, 2);
        EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
        wait_events(outer, 0);
        EXPECT_NONE_NOW(waited_on);
        struct waiter waiter;
        if (sleeps)
            start_waiter(&waiter, ep);
        long sent = begin(i / 3, fd, &to);
        if (sent < 0 && errno == EOPNOTSUPP)
            exit(77);
        /* Without a cookie the first segment carries no data. */
        CHECK(sent == 1 || errno == EINPROGRESS);
        if (sleeps) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLOUT);
        } else {
            if (nested)
                EXPECT_ONE(outer, 2, EPOLLIN);
            EXPECT_ONE(ep, 1, EPOLLOUT);
        }
        int server = OK(accept(listener, NULL, NULL));
        write_bytes(server, 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        OK(close(server));
        OK(close(fd));
        OK(close(outer));
        OK(close(ep));
    }
}

/* A unix connection that was shut down before it was accepted is hung up. Accepting it is not an
 * edge. The close of the other end is, whether the connection was accepted or not, with ERR if it
 * was not; also for a thread that sleeps (E3). */
#include "harness.h"
#include <sys/un.h>

static void end(int listener, bool accepted)
{
    if (accepted)
        OK(close(OK(accept(listener, NULL, NULL))));
    else
        OK(close(listener));
}

void test(void)
{
    for (int i = 0; i < 8; i++) {
        bool packets = i & 1, accepted = i & 2, blocked = i & 4;
        subject = packets ? "seqpacket" : "stream";
        int type = (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_NONBLOCK, ep = new_epoll();
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t size = sizeof address;
        int listener = OK(socket(AF_UNIX, type, 0)), fd = OK(socket(AF_UNIX, type, 0)), other = OK(socket(AF_UNIX, type, 0));
        /* The kernel chooses a name. */
        OK(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)));
        OK(getsockname(listener, (struct sockaddr *)&address, &size));
        OK(listen(listener, 8));
        OK(connect(other, (struct sockaddr *)&address, size));
        OK(connect(fd, (struct sockaddr *)&address, size));
        ADD(ep, fd, EPOLLRDHUP | EPOLLET, 1);
        OK(shutdown(fd, SHUT_RDWR));
        EXPECT_ONE(ep, 1, EPOLLRDHUP | EPOLLHUP);
        EXPECT_NONE(ep);
        OK(close(OK(accept(listener, NULL, NULL)))); /* An unrelated connection. */
        EXPECT_NONE(ep);
        struct waiter waiter;
        uint32_t over = EPOLLRDHUP | EPOLLHUP | (accepted ? 0 : EPOLLERR);
        if (blocked)
            start_waiter(&waiter, ep);
        end(listener, accepted);
        if (blocked) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, over);
        } else {
            EXPECT_ONE(ep, 1, over);
        }
        EXPECT_NONE(ep);
    }
}

/* The completion of a zero-copy write (MSG_ZEROCOPY) is an edge, even if the kernel merges its
 * notification into an unread one (E1). */
#include "harness.h"

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

void test(void)
{
    static char page[16384];
    int ep = new_epoll(), fd[2], on = 1;
    make_tcp(fd);
    if (setsockopt(fd[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) < 0)
        exit(77);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        size_t read = 0;
        CHECK_EQ(send(fd[0], page, sizeof page, MSG_ZEROCOPY), (ssize_t)sizeof page);
        UNTIL((read += read_all(fd[1])) >= sizeof page);
        CHECK_EQ(wait_events(ep, 300).n, 1);
    }
}

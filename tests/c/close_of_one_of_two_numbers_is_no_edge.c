/* A connection with two numbers has had room again, which one registration has reported. The close
 * of the other number, by which an earlier registration was made, is not an edge (D2, E2). */
#include "harness.h"

void test(void)
{
    static char bytes[1 << 16];
    int fd[2], first = new_epoll(), ep = new_epoll();
    make_tcp(fd);
    int second = OK(dup(fd[0]));
    ADD(first, fd[0], 0, 1);
    while (write(second, bytes, sizeof bytes) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    /* An instance whose descriptor is polled takes no signals. */
    struct pollfd entry = {.fd = ep, .events = POLLIN};
    CHECK_EQ(poll(&entry, 1, 0), 0);
    entry = (struct pollfd){.fd = fd[0], .events = POLLOUT};
    for (int n = 0; n == 0; n = poll(&entry, 1, 10))
        read_all(fd[1]);
    ADD(ep, second, EPOLLOUT | EPOLLET, 2);
    EXPECT_ONE(ep, 2, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    OK(close(fd[0]));
    EXPECT_NONE_NOW(ep);
}

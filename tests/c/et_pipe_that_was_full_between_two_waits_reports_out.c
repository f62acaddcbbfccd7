/* A pipe that was filled exactly, and from which a page was then read, has an OUT edge, even if no
 * wait saw it full (E4). So does a pipe that gets a new size. */
#include "harness.h"

void test(void)
{
    static char page[4096];
    int fd[2], ep = new_epoll();
    make_pipe(fd);
    OK(fcntl(fd[1], F_SETPIPE_SZ, 2 * sizeof page));
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[1], 2 * sizeof page);
        CHECK_EQ(read(fd[0], page, sizeof page), sizeof page);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(read_all(fd[0]), sizeof page);
        EXPECT_NONE_NOW(ep);
    }
    for (int end = 0; end < 2; end++) {
        OK(fcntl(fd[end], F_SETPIPE_SZ, (end + 4) * 4096));
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
}

/* A pipe that is full but has never refused a write has an OUT edge when a whole page is read
 * (E4). */
#include "harness.h"

void test(void)
{
    int fd[2], ep = new_epoll();
    char page[4096];
    make_pipe(fd);
    size_t size = OK(fcntl(fd[1], F_GETPIPE_SZ));
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        for (size_t n = i == 0 ? 0 : size - sizeof page; n < size; n += sizeof page)
            write_bytes(fd[1], sizeof page);
        EXPECT_NONE_NOW(ep);

        /* A part of a page frees no space. */
        CHECK_EQ(read(fd[0], page, 100), 100);
        EXPECT_NONE(ep);
        CHECK_EQ(read(fd[0], page, sizeof page - 100), sizeof page - 100);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
}

/* A number that is closed and used again while arrivals of its old descriptor are not reported yet
 * reports those of the new one, each once, whatever other numbers the old one has (D1, D2, E2). */
#include "harness.h"

static void renew(int number, int fd[2], bool by_dup2)
{
    if (!by_dup2)
        OK(close(number));
    int fresh[2];
    make_pipe(fresh);
    int writer = OK(fcntl(fresh[1], F_DUPFD, number + 1));
    OK(close(fresh[1]));
    if (fresh[0] != number) {
        OK(dup2(fresh[0], number));
        OK(close(fresh[0]));
    }
    fd[0] = number, fd[1] = writer;
}

void test(void)
{
    for (int variant = 0; variant < 16; variant++) {
        bool is_tcp = variant & 1, by_dup2 = variant & 2, has_twin = variant & 4;
        uint32_t mask = EPOLLIN | (variant & 8 ? EPOLLET : 0);
        int ep = new_epoll(), other = new_epoll(), fd[2], fresh[2], twin = -1;
        if (is_tcp)
            make_tcp(fd);
        else
            make_pipe(fd);
        ADD(ep, fd[0], mask, 1);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        write_bytes(fd[1], 1);
        if (has_twin)
            twin = OK(dup(fd[0]));
        renew(fd[0], fresh, by_dup2);
        ADD(other, fresh[0], EPOLLIN | EPOLLET, 2);
        write_bytes(fresh[1], 1);
        EXPECT_ONE(other, 2, EPOLLIN);
        EXPECT_NONE_NOW(other);
        if (has_twin) {
            EXPECT_ONE(ep, 1, EPOLLIN);
            write_bytes(fd[1], 1);
            EXPECT_ONE(ep, 1, EPOLLIN);
            CHECK_EQ(read_all(twin), 3);
            OK(close(twin));
        }
        EXPECT_NONE_NOW(ep);
        EXPECT_NONE_NOW(other);
        OK(close(fd[1])), OK(close(fresh[0])), OK(close(fresh[1])), OK(close(ep)), OK(close(other));
    }
}

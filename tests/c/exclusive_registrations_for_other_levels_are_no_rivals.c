/* If one of two exclusive registrations of a socket waits for data and the other for room, data
 * that the first has not read does not keep events from the second (X1). */
#include "harness.h"

void test(void)
{
    int fd[2], reader = new_epoll(), writer = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(writer, fd[0], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLET, 1);
    EXPECT_ONE(writer, 1, EPOLLOUT);
    ADD(reader, fd[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 2);
    write_bytes(fd[1], 1); /* stays unread */
    EXPECT_ONE(reader, 2, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[0], 1);
        CHECK_EQ(read_all(fd[1]), 1);
        EXPECT_ONE(writer, 1, EPOLLOUT);
        EXPECT_NONE_NOW(writer);
    }
}

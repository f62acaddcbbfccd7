/* An arrival wakes a registration for IN and OUT. If it was read before the wait, the wait reports
 * the remaining OUT (W4). Reading an arrival that was already reported is not an edge. */
#include "harness.h"

void test(void)
{
    const char *names[] = {"tcp", "udp", "unix stream", "unix seqpacket", "unix dgram"};
    int types[] = {0, 0, SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    char buffer[16];
    for (int i = 0; i < 5; i++) {
        int fd[2], ep = new_epoll();
        subject = names[i];
        if (i == 0)
            make_tcp(fd);
        else if (i == 1)
            make_udp(fd);
        else
            make_pair(types[i], fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        for (int round = 0; round < 3; round++) {
            CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 3);
            EXPECT_ONE(ep, 1, EPOLLOUT);
            EXPECT_NONE_NOW(ep);

            CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 3);
            EXPECT_NONE_NOW(ep);

            CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 3);
            CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 3);
            EXPECT_ONE(ep, 1, EPOLLOUT);
            EXPECT_NONE_NOW(ep);
        }

        /* Alone, and beside another ready registration. */
        int other = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, other, EPOLLIN, 2);
        for (int ready = 0; ready < 2; ready++) {
            CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 3);
            CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 3);
            CHECK_ERRNO(recv(fd[0], buffer, sizeof buffer, MSG_DONTWAIT), EAGAIN);
            OK(eventfd_write(other, (eventfd_t)ready));
            CHECK_EQ(wait_at_most(ep, 2, 0).n, 1 + ready);
        }
    }

    subject = "eventfd";
    int fd = OK(eventfd(0, EFD_NONBLOCK)), ep = new_epoll();
    ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(eventfd_write(fd, 0));
    EXPECT_ONE(ep, 1, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
}

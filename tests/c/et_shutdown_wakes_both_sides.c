/* Each shutdown is an edge on the socket itself, and on the other side of a unix connection, even
 * if no level changes: it wakes every waiter, whatever its mask (E3). */
#include "harness.h"

#define ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

void test(void)
{
    uint32_t over = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP;
    int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (int i = 0; i < 2; i++) {
        int fd[2], ep = new_epoll();
        subject = i == 0 ? "unix stream" : "unix seqpacket";
        make_pair(types[i], fd);
        ADD(ep, fd[0], ALL, 1);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        for (int again = 0; again < 2; again++) {
            OK(shutdown(fd[0], SHUT_WR));
            EXPECT_ONE(ep, 1, EPOLLOUT);
            EXPECT_NONE_NOW(ep);
        }
        for (int again = 0; again < 2; again++) {
            OK(shutdown(fd[1], SHUT_WR));
            EXPECT_ONE(ep, 1, over);
            EXPECT_NONE_NOW(ep);
        }
        OK(shutdown(fd[0], SHUT_RD));
        EXPECT_ONE(ep, 1, over);
        EXPECT_NONE_NOW(ep);
        OK(close(fd[1]));
        EXPECT_ONE(ep, 1, over);
        EXPECT_NONE(ep);
    }

    int fd[2], ep = new_epoll();
    subject = "tcp";
    make_tcp(fd);
    ADD(ep, fd[0], ALL, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int again = 0; again < 2; again++) {
        OK(shutdown(fd[0], SHUT_WR));
        UNTIL(end_is_acknowledged(fd[0]));
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
    OK(shutdown(fd[1], SHUT_WR));
    EXPECT_BITS(ep, 1, over);
    EXPECT_NONE(ep);
    shutdown(fd[0], SHUT_RD); /* ENOTCONN, but still an edge */
    EXPECT_ONE(ep, 1, over);
    EXPECT_NONE(ep);

    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 2);
    OK(shutdown(fd[0], SHUT_RD));
    EXPECT_ONE(ep, 2, EPOLLIN | EPOLLRDHUP);
    for (int i = 0; i < 3; i++) {
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 2, EPOLLIN | EPOLLRDHUP);
        EXPECT_NONE_NOW(ep);
    }
}

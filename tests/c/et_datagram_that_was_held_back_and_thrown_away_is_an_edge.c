/* Data that is spliced into a UDP socket with SPLICE_F_MORE is held back, and the next write adds
 * to it. If that write fails, all of it is discarded, which frees space: an edge. A write that
 * fails with nothing held back is not an edge (E4). */
#include "harness.h"

#include <netinet/in.h>

enum { SOME = 1000, TOO_MUCH = 65535 };

static char bytes[TOO_MUCH];

void test(void)
{
    struct sockaddr_in address;
    int pipes[2], ep = new_epoll(), receiver = udp_socket(&address), fd = udp_socket(&(struct sockaddr_in){0});
    OK(connect(fd, (struct sockaddr *)&address, sizeof address));
    make_pipe(pipes);
    ADD(ep, fd, EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);

    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(send(fd, bytes, TOO_MUCH, 0), EMSGSIZE);
        EXPECT_NONE_NOW(ep);
        write_bytes(pipes[1], SOME);
        CHECK_EQ(splice(pipes[0], NULL, fd, NULL, SOME, SPLICE_F_MORE | SPLICE_F_NONBLOCK), SOME);
        EXPECT_NONE_NOW(ep);
        CHECK_ERRNO(send(fd, bytes, TOO_MUCH, 0), EMSGSIZE);
        EXPECT_ONE(ep, 1, EPOLLOUT);
    }
    CHECK_ERRNO(recv(receiver, bytes, sizeof bytes, 0), EAGAIN);

    /* A later datagram that is sent is an edge like any other. */
    write_bytes(pipes[1], SOME);
    CHECK_EQ(splice(pipes[0], NULL, fd, NULL, SOME, SPLICE_F_MORE | SPLICE_F_NONBLOCK), SOME);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(send(fd, bytes, SOME, 0), SOME);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    CHECK_EQ(recv(receiver, bytes, sizeof bytes, 0), 2 * SOME);
    CHECK_ERRNO(send(fd, bytes, TOO_MUCH, 0), EMSGSIZE);
    EXPECT_NONE_NOW(ep);
}

/* A UDP socket that is registered for input and output: each arrival and each datagram of its own
 * is an edge, read or not. A registration for input alone has the arrivals only (E1, E6). */
#include "harness.h"

static int ep, inputs, fd[2];

static void arrive(void)
{
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    EXPECT_ONE(inputs, 2, EPOLLIN);
    EXPECT_NONE_NOW(inputs);
}

static void send_one(unsigned levels)
{
    write_bytes(fd[0], 1);
    EXPECT_ONE(ep, 1, levels);
    EXPECT_NONE_NOW(ep);
    EXPECT_NONE_NOW(inputs);
}

void test(void)
{
    make_udp(fd);
    ep = new_epoll();
    inputs = new_epoll();
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    ADD(inputs, fd[0], EPOLLIN | EPOLLET, 2);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < 20; i++) {
        send_one(EPOLLOUT);
        arrive();
        arrive();
        send_one(EPOLLIN | EPOLLOUT);
        char byte;
        CHECK_EQ(read(fd[0], &byte, 1), 1);
        CHECK_EQ(read(fd[0], &byte, 1), 1);
        EXPECT_NONE_NOW(ep);
        EXPECT_NONE_NOW(inputs);
    }
}

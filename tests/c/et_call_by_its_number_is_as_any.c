/* A call through syscall() that begins, drains or fills is seen like the call by name: for a
 * connection, a listener, messages, splices and timers (E1, E3, E4). */
#include "harness.h"
#include <netinet/in.h>

static void connects_and_listens(void)
{
    int ep = new_epoll(), listener = tcp_listener(), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    struct sockaddr_in to, none = {.sin_family = AF_UNSPEC};
    socklen_t size = sizeof to;
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
    syscall(SYS_connect, fd, &to, size);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(syscall(SYS_connect, fd, &none, sizeof none));
    EXPECT_BITS(ep, 1, EPOLLOUT | EPOLLHUP | EPOLLERR);
    EXPECT_NONE_NOW(ep);
    to.sin_port = 0;
    OK(bind(fd, (struct sockaddr *)&to, size));
    OK(syscall(SYS_listen, fd, 4));
    OK(getsockname(fd, (struct sockaddr *)&to, &size));
    for (int i = 0; i < 2; i++) {
        int client = OK(socket(AF_INET, SOCK_STREAM, 0));
        OK(connect(client, (struct sockaddr *)&to, size));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

static void messages(void)
{
    int ep = new_epoll(), fd[2];
    char byte = 'x', room[16];
    struct iovec from = {&byte, 1}, into = {room, sizeof room};
    make_pair(SOCK_DGRAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        struct mmsghdr message = {.msg_hdr = {.msg_iov = &from, .msg_iovlen = 1}};
        CHECK_EQ(syscall(SYS_sendmmsg, fd[1], &message, 1, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        message.msg_hdr.msg_iov = &into;
        CHECK_EQ(syscall(SYS_recvmmsg, fd[0], &message, 1, MSG_DONTWAIT, NULL), 1);
    }
}

static void pipes(void)
{
    int ep = new_epoll(), fd[2], other[2];
    char byte = 'x';
    struct iovec part = {&byte, 1};
    make_pipe(fd);
    make_pipe(other);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 6; i++) {
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        if (i % 3 == 0)
            CHECK_EQ(syscall(SYS_splice, fd[0], NULL, other[1], NULL, 1L, SPLICE_F_NONBLOCK), 1);
        else if (i % 3 == 1)
            CHECK_EQ(syscall(SYS_preadv2, fd[0], &part, 1, -1L, -1L, 0), 1);
        else
            CHECK_EQ(syscall(SYS_vmsplice, fd[0], &part, 1, SPLICE_F_NONBLOCK), 1);
    }
}

static void timer(void)
{
    int ep = new_epoll(), fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec soon = {.it_value.tv_nsec = 1000000};
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        OK(syscall(SYS_timerfd_settime, fd, 0, &soon, NULL));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

void test(void)
{
    connects_and_listens();
    messages();
    pipes();
    timer();
}

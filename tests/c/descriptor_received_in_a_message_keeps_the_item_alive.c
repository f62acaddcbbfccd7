/* A descriptor passed through a socket refers to the same open file description and keeps its item
 * alive, in flight as well as received (D1, D2). */
#include "harness.h"

static void send_descriptor(int socket, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 0;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    CHECK_EQ(sendmsg(socket, &message, 0), 1);
}

static int receive_descriptor(int socket)
{
    char control[CMSG_SPACE(sizeof(int))], byte;
    int fd;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(socket, &message, 0), 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

void test(void)
{
    int ep = new_epoll(), fd[2], carrier[2];
    make_pipe(fd);
    make_pair(SOCK_STREAM, carrier);
    ADD(ep, fd[0], EPOLLIN, 1);
    send_descriptor(carrier[0], fd[0]);
    int received = receive_descriptor(carrier[1]);
    OK(close(fd[0]));
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(received), 1);
    EXPECT_NONE_NOW(ep);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(close(received));
    EXPECT_NONE(ep);
}

/* After a drain by any of the calls that read, the next arrival is an edge (E1, E6). */
#include "harness.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static char bytes[64];
static int aside[2];
static struct iovec vector = {bytes, sizeof bytes};

static ssize_t by_read(int fd) { return read(fd, bytes, sizeof bytes); }
static ssize_t by_readv(int fd) { return readv(fd, &vector, 1); }
static ssize_t by_preadv2(int fd) { return preadv2(fd, &vector, 1, -1, 0); }
static ssize_t by_recv(int fd) { return recv(fd, bytes, sizeof bytes, 0); }
static ssize_t by_recvfrom(int fd) { return recvfrom(fd, bytes, sizeof bytes, 0, NULL, NULL); }
static ssize_t by_recvmsg(int fd) { return recvmsg(fd, &(struct msghdr){.msg_iov = &vector, .msg_iovlen = 1}, 0); }
static ssize_t by_recvmmsg(int fd)
{
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
    return recvmmsg(fd, &message, 1, 0, NULL) == 1 ? (ssize_t)message.msg_len : -1;
}
static ssize_t by_splice(int fd)
{
    ssize_t n = splice(fd, NULL, aside[1], NULL, sizeof bytes, SPLICE_F_NONBLOCK);
    read_all(aside[0]);
    return n;
}
static ssize_t by_vmsplice(int fd) { return vmsplice(fd, &vector, 1, SPLICE_F_NONBLOCK); }
static ssize_t by_raw_read(int fd) { return syscall(SYS_read, fd, bytes, sizeof bytes); }
static ssize_t by_raw_readv(int fd) { return syscall(SYS_readv, fd, &vector, 1); }
static ssize_t by_raw_recvmsg(int fd)
{
    return syscall(SYS_recvmsg, fd, &(struct msghdr){.msg_iov = &vector, .msg_iovlen = 1}, 0);
}

static const struct way {
    const char *name;
    ssize_t (*take)(int fd);
    bool pipe, socket;
} ways[] = {
    {"read", by_read, true, true},
    {"readv", by_readv, true, true},
    {"preadv2", by_preadv2, true, true},
    {"recv", by_recv, false, true},
    {"recvfrom", by_recvfrom, false, true},
    {"recvmsg", by_recvmsg, false, true},
    {"recvmmsg", by_recvmmsg, false, true},
    {"splice", by_splice, true, true},
    {"vmsplice", by_vmsplice, true, false},
    {"syscall read", by_raw_read, true, true},
    {"syscall readv", by_raw_readv, true, true},
    {"syscall recvmsg", by_raw_recvmsg, false, true},
};

static void run(const struct way *way, int fd[2])
{
    int ep = new_epoll();
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 4; i++) {
        write_bytes(fd[1], 8);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(way->take(fd[0]), 8);
    }

    /* The same while another thread sleeps in the wait. */
    for (int i = 0; i < 2; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        write_bytes(fd[1], 8);
        CHECK_EQ(join_waiter(&waiter), 1);
        start_waiter(&waiter, ep);
        CHECK_EQ(way->take(fd[0]), 8);
        write_bytes(fd[1], 8);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(way->take(fd[0]), 8);
    }
    EXPECT_NONE_NOW(ep);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    int fd[2];
    make_pipe(aside);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        subject = ways[i].name;
        if (ways[i].pipe) {
            make_pipe(fd);
            run(&ways[i], fd);
        }
        if (ways[i].socket) {
            make_pair(SOCK_STREAM, fd);
            run(&ways[i], fd);
            make_tcp(fd);
            run(&ways[i], fd);
        }
    }
}

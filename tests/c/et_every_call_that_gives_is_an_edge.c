/* Bytes are an edge on the other side, whichever call wrote them, also on top of unread ones (E1,
 * E6). */
#include "bare.h"
#include "harness.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static char bytes[8];
static int aside[2], file;
static struct iovec vector = {bytes, sizeof bytes};

static ssize_t by_write(int fd) { return write(fd, bytes, 8); }
static ssize_t by_writev(int fd) { return writev(fd, &vector, 1); }
static ssize_t by_pwritev2(int fd) { return pwritev2(fd, &vector, 1, -1, 0); }
static ssize_t by_send(int fd) { return send(fd, bytes, 8, 0); }
static ssize_t by_sendto(int fd) { return sendto(fd, bytes, 8, 0, NULL, 0); }
static ssize_t by_sendmsg(int fd) { return sendmsg(fd, &(struct msghdr){.msg_iov = &vector, .msg_iovlen = 1}, 0); }
static ssize_t by_sendmmsg(int fd)
{
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
    return sendmmsg(fd, &message, 1, 0) == 1 ? (ssize_t)message.msg_len : -1;
}
static ssize_t by_sendfile(int fd) { return sendfile(fd, file, &(off_t){0}, 8); }
static ssize_t by_splice(int fd)
{
    write_bytes(aside[1], 8);
    return splice(aside[0], NULL, fd, NULL, 8, 0);
}
static ssize_t by_tee(int fd)
{
    write_bytes(aside[1], 8);
    ssize_t n = tee(aside[0], fd, 8, 0);
    read_all(aside[0]);
    return n;
}
static ssize_t by_vmsplice(int fd) { return vmsplice(fd, &vector, 1, 0); }
static ssize_t by_dprintf(int fd) { return dprintf(fd, "%08d", 1); }
static ssize_t by_stream(int fd)
{
    FILE *stream = fdopen(OK(dup(fd)), "w");
    ssize_t n = fwrite(bytes, 1, 8, stream);
    CHECK_EQ(fclose(stream), 0);
    return n;
}
static ssize_t by_raw_write(int fd) { return syscall(SYS_write, fd, bytes, 8); }
static ssize_t by_raw_sendmsg(int fd)
{
    return syscall(SYS_sendmsg, fd, &(struct msghdr){.msg_iov = &vector, .msg_iovlen = 1}, 0);
}
static ssize_t by_unseen_write(int fd) { return bare(SYS_write, fd, (long)bytes, 8, 0, 0, 0); }

static const struct way {
    const char *name;
    ssize_t (*give)(int fd);
    bool pipe, socket;
} ways[] = {
    {"write", by_write, true, true},
    {"writev", by_writev, true, true},
    {"pwritev2", by_pwritev2, true, true},
    {"send", by_send, false, true},
    {"sendto", by_sendto, false, true},
    {"sendmsg", by_sendmsg, false, true},
    {"sendmmsg", by_sendmmsg, false, true},
    {"sendfile", by_sendfile, true, true},
    {"splice", by_splice, true, true},
    {"tee", by_tee, true, false},
    {"vmsplice", by_vmsplice, true, false},
    {"dprintf", by_dprintf, true, true},
    {"a stream", by_stream, true, true},
    {"syscall write", by_raw_write, true, true},
    {"syscall sendmsg", by_raw_sendmsg, false, true},
    {"a write nobody sees", by_unseen_write, true, true},
};

static void run(const struct way *way, int fd[2])
{
    int ep = new_epoll();
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(way->give(fd[1]), 8);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
    for (int i = 0; i < 2; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        CHECK_EQ(way->give(fd[1]), 8);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, EPOLLIN);
    }
    CHECK_EQ(read_all(fd[0]), 40);
    EXPECT_NONE_NOW(ep);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    int fd[2];
    make_pipe(aside);
    file = OK(open("/proc/self/exe", O_RDONLY));
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

/* Any of the calls that write, once it is refused for lack of room, makes the room that the peer
 * frees an edge (E4), even if it is free again before the next wait. By name and by number. */
#include "harness.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

enum { PART = 4096 };
static char bytes[PART];
static int full[2], file;
static struct iovec vector = {bytes, PART};
#define MESSAGE (&(struct msghdr){.msg_iov = &vector, .msg_iovlen = 1})
#define MESSAGES (&(struct mmsghdr){.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}})

static ssize_t by_write(int fd) { return write(fd, bytes, PART); }
static ssize_t by_writev(int fd) { return writev(fd, &vector, 1); }
static ssize_t by_pwritev2(int fd) { return pwritev2(fd, &vector, 1, -1, 0); }
static ssize_t by_send(int fd) { return send(fd, bytes, PART, 0); }
static ssize_t by_sendto(int fd) { return sendto(fd, bytes, PART, 0, NULL, 0); }
static ssize_t by_sendmsg(int fd) { return sendmsg(fd, MESSAGE, 0); }
static ssize_t by_sendmmsg(int fd) { return sendmmsg(fd, MESSAGES, 1, 0); }
static ssize_t by_sendfile(int fd) { return sendfile(fd, file, &(off_t){0}, PART); }
static ssize_t by_splice(int fd) { return splice(full[0], NULL, fd, NULL, PART, SPLICE_F_NONBLOCK); }
static ssize_t by_tee(int fd) { return tee(full[0], fd, PART, SPLICE_F_NONBLOCK); }
static ssize_t by_vmsplice(int fd) { return vmsplice(fd, &vector, 1, SPLICE_F_NONBLOCK); }

static ssize_t number_write(int fd) { return syscall(SYS_write, fd, bytes, PART); }
static ssize_t number_writev(int fd) { return syscall(SYS_writev, fd, &vector, 1); }
static ssize_t number_pwritev2(int fd) { return syscall(SYS_pwritev2, fd, &vector, 1, -1L, 0L, 0); }
static ssize_t number_sendto(int fd) { return syscall(SYS_sendto, fd, bytes, PART, 0, NULL, 0); }
static ssize_t number_sendmsg(int fd) { return syscall(SYS_sendmsg, fd, MESSAGE, 0); }
static ssize_t number_sendmmsg(int fd) { return syscall(SYS_sendmmsg, fd, MESSAGES, 1, 0); }
static ssize_t number_sendfile(int fd) { return syscall(SYS_sendfile, fd, file, &(off_t){0}, (size_t)PART); }
static ssize_t number_splice(int fd)
{
    return syscall(SYS_splice, full[0], NULL, fd, NULL, (size_t)PART, SPLICE_F_NONBLOCK);
}
static ssize_t number_tee(int fd) { return syscall(SYS_tee, full[0], fd, (size_t)PART, SPLICE_F_NONBLOCK); }
static ssize_t number_vmsplice(int fd) { return syscall(SYS_vmsplice, fd, &vector, 1L, SPLICE_F_NONBLOCK); }

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
    {"SYS_write", number_write, true, true},
    {"SYS_writev", number_writev, true, true},
    {"SYS_pwritev2", number_pwritev2, true, true},
    {"SYS_sendto", number_sendto, false, true},
    {"SYS_sendmsg", number_sendmsg, false, true},
    {"SYS_sendmmsg", number_sendmmsg, false, true},
    {"SYS_sendfile", number_sendfile, true, true},
    {"SYS_splice", number_splice, true, true},
    {"SYS_tee", number_tee, true, false},
    {"SYS_vmsplice", number_vmsplice, true, false},
};

/* Splices take a pipe's bytes away, so it is filled again each time. */
static void refill(void)
{
    while (write(full[1], bytes, PART) > 0)
        ;
}

static void run(const struct way *way, int fd[2])
{
    int ep = new_epoll();
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 3; i++) {
        do
            refill();
        while (way->give(fd[1]) > 0);
        CHECK_EQ(errno, EAGAIN);
        CHECK(read_all(fd[0]) > 0);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    int fd[2];
    make_pipe(full);
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
        }
    }
}

/* Calls other than epoll's on an epoll descriptor, and on a duplicate of it, return the kernel's
 * results: data transfers, calls for sockets and terminals, seeking, mapping, flags. None of them
 * changes the reports of a wait (C4). */
#include "harness.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#ifndef EPIOCGPARAMS
struct params {
    uint32_t busy_poll_usecs;
    uint16_t busy_poll_budget;
    uint8_t prefer_busy_poll, pad;
};
#define EPIOCSPARAMS _IOW(0x8a, 1, struct params)
#define EPIOCGPARAMS _IOR(0x8a, 2, struct params)
#else
#define params epoll_params
#endif

static int ends[2], file, pair[2];

#define FAILS(call, err)                                                                                               \
    do {                                                                                                               \
        subject = #call;                                                                                               \
        CHECK_ERRNO(call, err);                                                                                        \
    } while (0)
#define GIVES(call, value)                                                                                             \
    do {                                                                                                               \
        subject = #call;                                                                                               \
        CHECK_EQ(call, value);                                                                                         \
    } while (0)

static void move_data(int ep)
{
    char bytes[64] = {0};
    struct iovec vector = {bytes, sizeof bytes};
    loff_t at = 0;
    FAILS(splice(ep, NULL, ends[1], NULL, 8, SPLICE_F_NONBLOCK), EINVAL);
    FAILS(splice(ends[0], NULL, ep, NULL, 8, SPLICE_F_NONBLOCK), EINVAL);
    FAILS(splice(file, &at, ep, NULL, 8, 0), EINVAL);
    FAILS(splice(ep, NULL, pair[0], NULL, 8, 0), EINVAL);
    FAILS(splice(ep, &at, ends[1], NULL, 8, 0), EINVAL);
    FAILS(splice(ep, NULL, ends[1], &at, 8, 0), ESPIPE);
    FAILS(splice(ep, NULL, ep, NULL, 8, 0), EINVAL);
    FAILS(splice(ep, NULL, ends[0], NULL, 8, 0), EBADF);
    FAILS(splice(ep, NULL, 9999, NULL, 8, 0), EBADF);
    FAILS(splice(ep, NULL, ends[1], NULL, 8, 0x80), EINVAL);
    GIVES(splice(ep, NULL, ends[1], NULL, 0, 0), 0);
    FAILS(syscall(SYS_splice, ep, NULL, ends[1], NULL, 8, 0), EINVAL);
    FAILS(tee(ep, ends[1], 8, SPLICE_F_NONBLOCK), EINVAL);
    FAILS(tee(ends[0], ep, 8, SPLICE_F_NONBLOCK), EINVAL);
    FAILS(tee(ends[1], ep, 8, 0), EBADF);
    FAILS(syscall(SYS_tee, ep, ends[1], 8, 0), EINVAL);
    FAILS(vmsplice(ep, &vector, 1, 0), EBADF);
    FAILS(sendfile(ep, file, NULL, 8), EINVAL);
    FAILS(sendfile(ends[1], ep, NULL, 8), EINVAL);
    FAILS(copy_file_range(ep, NULL, file, NULL, 8, 0), EINVAL);
    FAILS(pread(ep, bytes, 8, 0), ESPIPE);
    FAILS(pwrite(ep, bytes, 8, 0), ESPIPE);
    FAILS(preadv(ep, &vector, 1, 0), ESPIPE);
    FAILS(pwritev(ep, &vector, 1, 0), ESPIPE);
    FAILS(preadv2(ep, &vector, 1, 0, 0), ESPIPE);
    FAILS(pwritev2(ep, &vector, 1, 0, 0), ESPIPE);
    FAILS(preadv2(ep, &vector, 1, -1, 0), EINVAL);
    FAILS(pwritev2(ep, &vector, 1, -1, 0), EINVAL);
}

static void take_it_for_a_socket(int ep)
{
    char bytes[8] = {0};
    struct iovec vector = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    int value;
    socklen_t length = sizeof value;
    FAILS(recv(ep, bytes, 8, 0), ENOTSOCK);
    FAILS(recv(ep, bytes, 8, MSG_PEEK), ENOTSOCK);
    FAILS(recvfrom(ep, bytes, 8, 0, NULL, NULL), ENOTSOCK);
    FAILS(recvmsg(ep, &message, 0), ENOTSOCK);
    FAILS(recvmmsg(ep, &messages, 1, 0, NULL), ENOTSOCK);
    FAILS(send(ep, bytes, 8, 0), ENOTSOCK);
    FAILS(sendto(ep, bytes, 8, 0, NULL, 0), ENOTSOCK);
    FAILS(sendmsg(ep, &message, 0), ENOTSOCK);
    FAILS(sendmmsg(ep, &messages, 1, 0), ENOTSOCK);
    FAILS(syscall(SYS_sendto, ep, bytes, 8, 0, NULL, 0), ENOTSOCK);
    FAILS(syscall(SYS_recvfrom, ep, bytes, 8, 0, NULL, NULL), ENOTSOCK);
    FAILS(accept(ep, NULL, NULL), ENOTSOCK);
    FAILS(listen(ep, 1), ENOTSOCK);
    FAILS(shutdown(ep, SHUT_RDWR), ENOTSOCK);
    FAILS(getsockopt(ep, SOL_SOCKET, SO_ERROR, &value, &length), ENOTSOCK);
}

static void take_it_for_a_file(int ep)
{
    for (int whence = SEEK_SET; whence <= SEEK_HOLE; whence++)
        GIVES(lseek(ep, 10, whence), 0);
    FAILS(lseek(ep, 0, 77), EINVAL);
    GIVES(lseek64(ep, -5, SEEK_SET), 0);
    GIVES(syscall(SYS_lseek, ep, 5, SEEK_CUR), 0);
    FAILS(fsync(ep), EINVAL);
    FAILS(fdatasync(ep), EINVAL);
    FAILS(ftruncate(ep, 0), EINVAL);
    FAILS((intptr_t)mmap(NULL, 4096, PROT_READ, MAP_SHARED, ep, 0), ENODEV);
    FAILS((intptr_t)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, ep, 0), ENODEV);
    FAILS(readahead(ep, 0, 8), EINVAL);
    FAILS(syscall(SYS_getdents64, ep, &ep, 0), ENOTDIR);
}

static void control(int ep)
{
    int value = 1, flags = OK(fcntl(ep, F_GETFL));
    CHECK_EQ(flags, O_RDWR);
    GIVES(fcntl(ep, F_SETFL, O_NONBLOCK), 0);
    GIVES(fcntl(ep, F_GETFL), O_RDWR | O_NONBLOCK);
    GIVES(fcntl(ep, F_SETFL, 0), 0);
    GIVES(fcntl(ep, F_GETFL), O_RDWR);
    GIVES(ioctl(ep, FIONBIO, &value), 0);
    GIVES(fcntl(ep, F_GETFL), O_RDWR | O_NONBLOCK);
    value = 0;
    GIVES(ioctl(ep, FIONBIO, &value), 0);
    GIVES(fcntl(ep, F_GETFL), O_RDWR);
    FAILS(fcntl(ep, F_SETFL, O_DIRECT), EINVAL);
    FAILS(fcntl(ep, F_GETPIPE_SZ), EBADF);
    FAILS(fcntl(ep, F_SETPIPE_SZ, 4096), EBADF);
    FAILS(ioctl(ep, FIONREAD, &value), EINVAL);
    FAILS(ioctl(ep, TIOCOUTQ, &value), EINVAL);
    FAILS(ioctl(ep, TIOCGWINSZ, &value), EINVAL);
    FAILS(syscall(SYS_ioctl, ep, FIONREAD, &value), EINVAL);
    FAILS(ioctl(ep, 0x1234, NULL), EINVAL);
}

/* Since Linux 6.9. */
static void set_params(int ep)
{
    struct params none, some = {.busy_poll_usecs = 10, .busy_poll_budget = 4, .prefer_busy_poll = 1}, got;
    if (ioctl(ep, EPIOCGPARAMS, &none) == -1)
        return;
    CHECK_EQ(none.busy_poll_usecs, 0);
    GIVES(ioctl(ep, EPIOCSPARAMS, &some), 0);
    GIVES(ioctl(ep, EPIOCGPARAMS, &got), 0);
    CHECK(memcmp(&some, &got, sizeof some) == 0);
    some.prefer_busy_poll = 2;
    FAILS(ioctl(ep, EPIOCSPARAMS, &some), EINVAL);
    FAILS(ioctl(ep, EPIOCSPARAMS, NULL), EFAULT);
    GIVES(ioctl(ep, EPIOCSPARAMS, &none), 0);
}

void test(void)
{
    int ep = OK(epoll_create1(0)), event = OK(eventfd(0, 0));
    file = OK(memfd_create("file", 0));
    OK(ftruncate(file, 100));
    OK(pipe2(ends, O_NONBLOCK));
    OK(write(ends[1], "abc", 3));
    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    ADD(ep, event, EPOLLIN, 1);
    for (int ready = 0; ready < 2; ready++) {
        int numbers[] = {ep, OK(dup(ep))};
        for (int i = 0; i < 2; i++) {
            move_data(numbers[i]);
            take_it_for_a_socket(numbers[i]);
            take_it_for_a_file(numbers[i]);
            control(numbers[i]);
            set_params(numbers[i]);
            struct pollfd at = {numbers[i], POLLIN, 0};
            CHECK_EQ(poll(&at, 1, 0), ready);
        }
        close(numbers[1]);
        if (!ready)
            EXPECT_NONE_NOW(ep);
        add_one(event);
    }
    EXPECT_ONE(ep, 1, EPOLLIN);
}

/* Neither the calls of epoll nor the interposed calls change errno when they succeed (C3). */
#include "harness.h"

#include <sys/uio.h>

#define KEEPS_ERRNO(call)                                                                                              \
    do {                                                                                                               \
        errno = 4711;                                                                                                  \
        long long result = (long long)(call);                                                                          \
        int after = errno;                                                                                             \
        CHECK(result >= 0);                                                                                            \
        subject = #call;                                                                                               \
        CHECK_EQ(after, 4711);                                                                                         \
    } while (0)

void test(void)
{
    int ep, fd[2], twin, timer;
    char bytes[16] = {0};
    uint64_t value;
    struct epoll_event in = {.events = EPOLLIN | EPOLLET}, at[4];
    struct iovec vector = {bytes, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    struct pollfd p = {.events = POLLIN};
    struct timespec zero = {0, 0};
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    KEEPS_ERRNO(ep = epoll_create1(0));
    make_pair(SOCK_STREAM, fd);
    KEEPS_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &in));
    KEEPS_ERRNO(epoll_wait(ep, at, 4, 0));
    KEEPS_ERRNO(epoll_wait(ep, at, 4, 1));
    KEEPS_ERRNO(write(fd[1], bytes, 2));
    KEEPS_ERRNO(epoll_pwait(ep, at, 4, 0, NULL));
    KEEPS_ERRNO(epoll_pwait2(ep, at, 4, &zero, NULL));
    KEEPS_ERRNO(read(fd[0], bytes, 1));
    KEEPS_ERRNO(recv(fd[0], bytes, 16, 0));
    KEEPS_ERRNO(send(fd[1], bytes, 1, 0));
    KEEPS_ERRNO(readv(fd[0], &vector, 1));
    KEEPS_ERRNO(writev(fd[1], &vector, 1));
    KEEPS_ERRNO(recvmsg(fd[0], &message, 0));
    KEEPS_ERRNO(sendmsg(fd[1], &message, 0));
    KEEPS_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &in));
    p.fd = ep;
    KEEPS_ERRNO(poll(&p, 1, 0));
    KEEPS_ERRNO(dup2(fd[0], 300));
    KEEPS_ERRNO(dup3(fd[0], 301, 0));
    KEEPS_ERRNO(twin = dup(fd[0]));
    KEEPS_ERRNO(fcntl(fd[0], F_DUPFD, 302));
    KEEPS_ERRNO(close(twin));
    KEEPS_ERRNO(close_range(300, 302, 0));
    KEEPS_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL));
    KEEPS_ERRNO(timer = timerfd_create(CLOCK_MONOTONIC, 0));
    KEEPS_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, timer, &in));
    KEEPS_ERRNO(timerfd_settime(timer, 0, &soon, NULL));
    KEEPS_ERRNO(read(timer, &value, 8));
    KEEPS_ERRNO(close(timer));
    KEEPS_ERRNO(close(ep));
    KEEPS_ERRNO(close(fd[0]));
    pid_t child;
    KEEPS_ERRNO(child = fork());
    if (child == 0)
        _exit(0);
    expect_exit_0(child);
}

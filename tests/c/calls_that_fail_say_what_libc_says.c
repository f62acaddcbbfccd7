/* The interposed calls return the results and errors of libc (D1). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2], value;
    char bytes[16] = {0}, *volatile bad = (char *)0x10;
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    CHECK_ERRNO(read(fd[0], bytes, 16), EAGAIN);
    CHECK_ERRNO(recv(fd[0], bytes, 16, 0), EAGAIN);
    CHECK_ERRNO(read(999, bytes, 16), EBADF);
    CHECK_ERRNO(write(999, bytes, 16), EBADF);
    CHECK_ERRNO(read(fd[0], bad, 16), EAGAIN);
    write_bytes(fd[1], 4);
    CHECK_ERRNO(read(fd[0], bad, 4), EFAULT);
    CHECK_EQ(recv(fd[0], bytes, 16, MSG_PEEK), 4);
    CHECK_EQ(recv(fd[0], bytes, 16, MSG_PEEK), 4);
    CHECK_EQ(ioctl(fd[0], FIONREAD, &value), 0);
    CHECK_EQ(value, 4);
    CHECK_EQ(read(fd[0], bytes, 0), 0);
    CHECK_EQ(read(fd[0], bytes, 16), 4);
    OK(close(fd[1]));
    CHECK_EQ(read(fd[0], bytes, 16), 0);
    CHECK_ERRNO(write(fd[0], bytes, 1), EPIPE);
    CHECK_ERRNO(accept(fd[0], NULL, NULL), EINVAL);
    CHECK_ERRNO(fcntl(999, F_DUPFD, 0), EBADF);
    CHECK_ERRNO(fcntl(fd[0], F_DUPFD, -1), EINVAL);
    CHECK_ERRNO(fcntl(fd[0], 99999), EINVAL);
    CHECK_EQ(fcntl(fd[0], F_SETFD, FD_CLOEXEC), 0);
    CHECK_EQ(fcntl(fd[0], F_GETFD), FD_CLOEXEC);
    CHECK_ERRNO(dup(999), EBADF);
    OK(close(fd[0]));
    CHECK_ERRNO(close(fd[0]), EBADF);
    EXPECT_NONE_NOW(ep);
}

/* A transfer call on a watched descriptor with an unmapped address fails with EFAULT, as on any
 * other descriptor, and takes nothing. */
#include "harness.h"
#include <sys/uio.h>

void test(void)
{
    int fd[2], ep = new_epoll();
    void *volatile address = (void *)8; /* hidden from the compiler */
    struct iovec *nowhere = address, bad = {address, 16};
    struct msghdr message = {.msg_iov = nowhere, .msg_iovlen = 2};
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    write_bytes(fd[1], 5);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    CHECK_ERRNO(readv(fd[0], nowhere, 2), EFAULT);
    CHECK_ERRNO(readv(fd[0], &bad, 1), EFAULT);
    CHECK_ERRNO(read(fd[0], address, 4), EFAULT);
    CHECK_ERRNO(recvmsg(fd[0], &message, 0), EFAULT);
    CHECK_ERRNO(recvmsg(fd[0], (struct msghdr *)address, 0), EFAULT);
    CHECK_ERRNO(writev(fd[0], nowhere, 2), EFAULT);
    CHECK_ERRNO(writev(fd[0], &bad, 1), EFAULT);
    CHECK_ERRNO(write(fd[0], address, 4), EFAULT);
    CHECK_ERRNO(sendmsg(fd[0], &message, 0), EFAULT);
    CHECK_ERRNO(sendmsg(fd[0], (struct msghdr *)address, 0), EFAULT);
    while (wait_events(ep, QUIET_MS).n > 0) /* a write that fails midway frees its buffer */
        ;
    CHECK_EQ(read_all(fd[0]), 5);
    EXPECT_NONE_NOW(ep);
}

/* An item reports as long as a dup is open; neither the closed number nor the dup can name it
 * (D2). */
#include "harness.h"

static int by_dup(int fd) { return dup(fd); }
static int by_dup2(int fd) { return dup2(fd, 500); }
static int by_dup3(int fd) { return dup3(fd, 501, O_CLOEXEC); }
static int by_fcntl(int fd) { return fcntl(fd, F_DUPFD, 502); }
static int by_fcntl_cloexec(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 503); }
static int by_raw_dup(int fd) { return syscall(SYS_dup, fd); }
#ifdef SYS_dup2
static int by_raw_dup2(int fd) { return syscall(SYS_dup2, fd, 504); }
#endif
static int by_raw_fcntl(int fd) { return syscall(SYS_fcntl, fd, F_DUPFD, 505); }

void test(void)
{
    int (*roads[])(int) = {
        by_dup, by_dup2, by_dup3, by_fcntl, by_fcntl_cloexec, by_raw_dup, by_raw_fcntl,
#ifdef SYS_dup2
        by_raw_dup2,
#endif
    };
    for (int i = 0; i < (int)(sizeof roads / sizeof *roads); i++)
        for (int before = 0; before < 2; before++) {
            int ep = new_epoll(), fd[2], twin = -1;
            make_pipe(fd);
            if (before)
                twin = OK(roads[i](fd[0]));
            ADD(ep, fd[0], EPOLLIN, 1);
            if (!before)
                twin = OK(roads[i](fd[0]));
            OK(close(fd[0]));

            write_bytes(fd[1], 1);
            EXPECT_ONE(ep, 1, EPOLLIN);
            CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL), EBADF);
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd[0], EPOLLIN, 2), EBADF);
            CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, twin, NULL), ENOENT);
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, twin, EPOLLIN, 2), ENOENT);
            CHECK_EQ(read_all(twin), 1);
            EXPECT_NONE_NOW(ep);
            write_bytes(fd[1], 1);
            EXPECT_ONE(ep, 1, EPOLLIN);

            /* The last descriptor is closed. */
            OK(close(twin));
            EXPECT_NONE(ep);
            OK(close(fd[1]));
            OK(close(ep));
        }
}

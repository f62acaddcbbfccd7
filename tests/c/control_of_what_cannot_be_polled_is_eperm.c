/* Files, directories and devices without a poll method fail with EPERM for every operation (T3). */
#include "harness.h"

#include <sys/mman.h>

void test(void)
{
    const char *paths[] = {"/proc/self/exe", "/", "/tmp", "/proc", "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"};
    int ep = new_epoll(), none = OK(eventfd(0, 0));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        subject = paths[i];
        int fd = OK(open(paths[i], O_RDONLY));
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EPERM);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, 0, 0), EPERM);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 0), EPERM);
        CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), EPERM);
        CHECK_ERRNO(ctl(none, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EPERM);
        OK(close(fd));
    }

    /* A temporary file of the program, and one in memory. */
    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fileno(file), EPOLLIN, 0), EPERM);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, OK(memfd_create("memory", 0)), EPOLLIN, 0), EPERM);
    EXPECT_NONE_NOW(ep);
}

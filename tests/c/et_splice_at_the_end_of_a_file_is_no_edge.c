/* A splice from the end of a file moves nothing, and is not an edge of its output pipe; for a file
 * with a size, and for one of /proc, which has none. */
#include <fcntl.h>

#include "harness.h"

static void try(const char *path, uint32_t mask)
{
    int ends[2], epfd = new_epoll(), file = OK(open(path, O_RDONLY | O_CLOEXEC));
    char buffer[65536];

    OK(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
    while (read(file, buffer, sizeof buffer) > 0) {
    }
    ADD(epfd, ends[1], mask, 1);
    EXPECT_ONE(epfd, 1, EPOLLOUT);
    CHECK_EQ(splice(file, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK), 0);
    EXPECT_NONE_NOW(epfd);
    CHECK_EQ(splice(file, NULL, ends[1], NULL, 100000, SPLICE_F_NONBLOCK), 0);
    EXPECT_NONE(epfd);
    OK(close(file));
    OK(close(ends[0]));
    OK(close(ends[1]));
    OK(close(epfd));
}

void test(void)
{
    try("/proc/self/mounts", EPOLLOUT | EPOLLET);
    try("/etc/passwd", EPOLLOUT | EPOLLET);
}

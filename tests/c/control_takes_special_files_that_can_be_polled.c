/* /dev/random, terminals and the files of /proc with a poll method can be added, although some are
 * regular files (T3). */
#include "harness.h"

#include <pty.h>

void test(void)
{
    int ep = new_epoll(), master, slave;

    /* Both are readable at once; mounts shows PRI and ERR as well, as poll() does. */
    const char *paths[] = {"/dev/random", "/proc/self/mounts", "/proc/self/mountinfo"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        subject = paths[i];
        int fd = OK(open(paths[i], O_RDONLY));
        struct pollfd p = {.fd = fd, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 0), 1);
        ADD(ep, fd, EPOLLIN, i);
        EXPECT_ONE(ep, i, (uint32_t)p.revents);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), EEXIST);
        DEL(ep, fd);
        OK(close(fd));
    }
    subject = "";

    OK(openpty(&master, &slave, NULL, NULL, NULL));
    ADD(ep, slave, EPOLLIN, 5);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(write(master, "line\n", 5), 5);
    EXPECT_ONE(ep, 5, EPOLLIN);
}

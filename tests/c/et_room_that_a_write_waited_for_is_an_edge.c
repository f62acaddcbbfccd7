/* A write to a TCP socket that blocks until there is space, and then continues, leaves an edge:
 * space was freed where there was none (E4, W4). */
#include "harness.h"

#include <sys/ioctl.h>

enum { MUCH = 400000, LITTLE = 1000 };

static void *writes(void *fd)
{
    static char bytes[MUCH];
    CHECK_EQ(write(*(int *)fd, bytes, MUCH), MUCH);
    return NULL;
}

enum when { BEFORE, AFTER, BY_IOCTL };

static void make_it_wait(int fd, enum when when)
{
    if (when == BY_IOCTL)
        OK(ioctl(fd, FIONBIO, &(int){0}));
    else
        OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK));
}

static void waiting(enum when when)
{
    int fd[2], ep = new_epoll();
    make_tcp(fd);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int)));
    write_bytes(fd[1], 2); /* one byte stays unread */
    if (when != AFTER)
        make_it_wait(fd[0], when);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    if (when == AFTER)
        make_it_wait(fd[0], when);

    char byte;
    CHECK_EQ(read(fd[0], &byte, 1), 1);
    EXPECT_NONE_NOW(ep);

    /* A write that fits does not wait for space. */
    write_bytes(fd[0], LITTLE);
    EXPECT_NONE_NOW(ep);

    struct thread writer;
    start_thread(&writer, writes, &fd[0]);
    for (size_t left = LITTLE + MUCH; left != 0; left -= read_all(fd[1]))
        pause_ms(1);
    join_thread(&writer);
    uint32_t bits = 0;
    while (!(bits & EPOLLOUT)) {
        struct events told = wait_events(ep, BOUND_MS);
        CHECK_EQ(told.n, 1);
        bits = told.at[0].events;
        CHECK_EQ(bits & ~EPOLLOUT, EPOLLIN);
    }
    EXPECT_NONE(ep);

    /* After it was made non-blocking, a write behaves as usual. */
    set_nonblocking(fd[0]);
    write_bytes(fd[0], LITTLE);
    EXPECT_NONE(ep);
    close(fd[0]), close(fd[1]), close(ep);
}

void test(void)
{
    for (enum when when = BEFORE; when <= BY_IOCTL; when++)
        waiting(when);
}

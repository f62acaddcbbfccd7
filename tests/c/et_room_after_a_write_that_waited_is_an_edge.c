/* A write to a TCP socket that blocks until there is space can leave none. Space that is freed
 * afterwards is an edge (E4). */
#include "harness.h"

#include <netinet/in.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { ATTEMPTS = 500, MUCH = 400000, LIMIT = 3, QUEUED = 5 };

static size_t amount;
static bool is_written;

static void *writes(void *fd)
{
    static char bytes[MUCH];
    CHECK_EQ(write(*(int *)fd, bytes, amount), amount);
    __atomic_store_n(&is_written, true, __ATOMIC_SEQ_CST);
    return NULL;
}

/* The level without a poll, which would ask to be woken. */
static bool has_space(int fd)
{
    unsigned memory[9];
    socklen_t length = sizeof memory;
    OK(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length));
    return (int)(memory[LIMIT] - memory[QUEUED]) >= (int)memory[QUEUED] / 2;
}

/* Whether a write left no space, and the space that was freed later was an edge. */
static bool one_write(size_t n, size_t each)
{
    int fd[2], ep = new_epoll();
    make_tcp(fd);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int)));
    OK(fcntl(fd[0], F_SETFL, fcntl(fd[0], F_GETFL) & ~O_NONBLOCK));
    set_nonblocking(fd[1]);
    ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);

    amount = n;
    is_written = false;
    struct thread writer;
    start_thread(&writer, writes, &fd[0]);
    char bytes[65536];
    size_t left = n;
    while (!__atomic_load_n(&is_written, __ATOMIC_SEQ_CST)) {
        ssize_t got = read(fd[1], bytes, each);
        left -= got > 0 ? got : 0;
    }
    join_thread(&writer);
    /* Space that was freed on the way may be reported. */
    wait_events(ep, 0);
    bool is_full = !has_space(fd[0]);
    while (left != 0) {
        ssize_t got = read(fd[1], bytes, sizeof bytes);
        left -= got > 0 ? got : 0;
    }
    struct events told = {0};
    if (is_full)
        told = wait_events(ep, 100);
    close(fd[0]), close(fd[1]), close(ep);
    return told.n == 1 && told.at[0].events == EPOLLOUT;
}

void test(void)
{
    bool found = false;
    for (int i = 0; i < ATTEMPTS && !found; i++)
        found = one_write(50000 + i * 7919 % 300000, 4096 + i * 104729 % 60000);
    CHECK(found);
}

/* sendfile and splice move pages into a TCP socket 64 KB at a time. A smaller send buffer becomes
 * full on the way, and space that is freed then is an edge, even if the rest of the pages uses it
 * up: the other high levels are reported again (E4, W4). */
#include "harness.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

enum { MUCH = 200000, SOME = 50000, LITTLE = 4096 };

static int file;

static ssize_t by_sendfile(int to, size_t n)
{
    return sendfile(to, file, &(off_t){0}, n);
}

static ssize_t by_splice(int to, size_t n)
{
    int fd[2];
    make_pipe(fd);
    OK(fcntl(fd[1], F_SETPIPE_SZ, 1 << 20));
    write_bytes(fd[1], n);
    ssize_t moved = splice(fd[0], NULL, to, NULL, n, SPLICE_F_NONBLOCK);
    close(fd[0]), close(fd[1]);
    return moved;
}

static void moving(ssize_t (*move)(int, size_t))
{
    int fd[2], ep = new_epoll();
    make_tcp(fd);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int)));
    write_bytes(fd[1], 1); /* stays unread */
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);

    /* A transfer that fits meets a full buffer nowhere. */
    CHECK_EQ(move(fd[0], LITTLE), LITTLE);
    EXPECT_NONE_NOW(ep);

    /* All pages are moved, through a buffer that was full, or a part of them. */
    CHECK(move(fd[0], MUCH) > SOME);
    struct events told = wait_events(ep, BOUND_MS);
    CHECK_EQ(told.n, 1);
    CHECK_EQ(told.at[0].events & ~EPOLLOUT, EPOLLIN);
    close(fd[0]), close(fd[1]), close(ep);
}

void test(void)
{
    file = OK(memfd_create("pages", 0));
    OK(ftruncate(file, MUCH));
    moving(by_sendfile);
    moving(by_splice);
}

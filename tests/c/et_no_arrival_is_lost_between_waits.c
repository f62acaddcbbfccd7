/* A writer never stops, and a reader makes only short reads and never sees EAGAIN: the last byte is
 * reported (E6). */
#include "harness.h"

#define BYTES 60000
static int writer_fd;

static void *writer(void *arg)
{
    (void)arg;
    for (int i = 0; i < BYTES; i++)
        while (write(writer_fd, "x", 1) != 1)
            CHECK_EQ(errno, EAGAIN);
    return NULL;
}

static void run(int fd[2])
{
    struct thread thread;
    char buffer[100000];
    int ep = new_epoll();
    writer_fd = fd[1];
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    start_thread(&thread, writer, NULL);
    for (ssize_t got = 0; got < BYTES;) {
        EXPECT_ONE(ep, 1, EPOLLIN);
        ssize_t n = read(fd[0], buffer, sizeof buffer);
        if (n < 0)
            CHECK_EQ(errno, EAGAIN); /* the last read took the bytes of this edge */
        else
            got += n;
    }
    join_thread(&thread);
}

void test(void)
{
    int fd[2];
    subject = "pipe";
    make_pipe(fd);
    run(fd);
    subject = "unix stream";
    make_pair(SOCK_STREAM, fd);
    run(fd);
    subject = "tcp";
    make_tcp(fd);
    run(fd);
}

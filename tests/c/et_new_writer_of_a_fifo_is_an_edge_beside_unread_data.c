/* A writer that opens a hung-up fifo wakes its readers, which is a report if data is unread (E3).
 * The close of the writer is another edge. */
#include "harness.h"

void test(void)
{
    char dir[] = "/tmp/epolyfill-XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/fifo", dir);
    OK(mkfifo(path, 0600));
    int ep = new_epoll(), reader = OK(open(path, O_RDONLY | O_NONBLOCK));
    ADD(ep, reader, EPOLLIN | EPOLLET, 1);
    int writer = OK(open(path, O_WRONLY));
    write_bytes(writer, 3);
    EXPECT_ONE(ep, 1, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        OK(close(writer));
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLHUP);
        EXPECT_NONE_NOW(ep);
        writer = OK(open(path, O_WRONLY));
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
    OK(unlink(path));
    OK(rmdir(dir));
}

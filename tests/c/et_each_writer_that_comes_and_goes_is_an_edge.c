/* Each writer that opens a fifo or a terminal, writes and closes is reported, and with it its hang-up (E1, E3). */
#include "harness.h"

static void expect_each_writer(const char *path, int reader)
{
    int ep = new_epoll();
    ADD(ep, reader, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 4; i++) {
        int writer = OK(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK));
        write_bytes(writer, 1);
        if (i % 2) {
            EXPECT_ONE(ep, 1, EPOLLIN);
            EXPECT_NONE_NOW(ep);
        }
        OK(close(writer));
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLHUP);
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(read_all(reader), 1);
        EXPECT_NONE_NOW(ep);
    }
    OK(close(reader));
}

void test(void)
{
    subject = "fifo";
    char dir[] = "/tmp/epolyfill-XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/fifo", dir);
    OK(mkfifo(path, 0600));
    int fifo = OK(open(path, O_RDONLY | O_NONBLOCK));
    expect_each_writer(path, fifo);
    OK(unlink(path));
    OK(rmdir(dir));

    subject = "pty";
    int master = OK(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
    OK(grantpt(master));
    OK(unlockpt(master));
    expect_each_writer(ptsname(master), master);
}

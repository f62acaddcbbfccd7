/* Each writer that opens a fifo or a terminal, writes and closes is reported, together with its
 * hang-up (E1, E3). */
#include "harness.h"

static void expect_each_writer(const char *path, int reader)
{
    int ep = new_epoll();
    ADD(ep, reader, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 6; i++) {
        struct waiter waiter;
        int writer = OK(open(path, O_RDWR | O_NOCTTY | O_NONBLOCK));
        if (i == 4) { /* still asleep while it is open */
            while (wait_events(ep, QUIET_MS).n > 0)
                ;
            start_waiter(&waiter, ep);
        }
        write_bytes(writer, 1);
        if (i == 4) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLIN);
        }
        OK(close(writer));
        EXPECT_BITS(ep, 1, EPOLLIN | EPOLLHUP);
        CHECK_EQ(read_all(reader), 1);
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

/* A hung-up fifo comes back to life when a writer opens it and writes, whether a thread waits or
 * not (E1, E3, E6). */
#include "harness.h"

static char dir[] = "/tmp/epolyfill-XXXXXX", path[64];

void test(void)
{
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/fifo", dir);
    OK(mkfifo(path, 0600));
    int ep = new_epoll(), reader = OK(open(path, O_RDONLY | O_NONBLOCK));
    ADD(ep, reader, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 6; i++) {
        struct waiter waiter;
        if (i % 2)
            start_waiter(&waiter, ep);
        int writer = OK(open(path, O_WRONLY | O_NONBLOCK));
        write_bytes(writer, 1);
        if (i % 2) {
            CHECK_EQ(join_waiter(&waiter), 1);
            CHECK_EQ(waiter.at[0].events, EPOLLIN);
        } else {
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        CHECK_EQ(read_all(reader), 1);
        OK(close(writer));
        EXPECT_ONE(ep, 1, EPOLLHUP);
        EXPECT_NONE_NOW(ep);
    }
    OK(unlink(path));
    OK(rmdir(dir));
}

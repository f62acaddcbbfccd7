/* system() and popen() work while descriptors are watched; the stream of popen() can be watched
 * like any other, and pclose() ends its registration (D1, D5). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    CHECK_EQ(system("exit 3"), 3 << 8);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        char line[64];
        FILE *stream = popen("echo heard", "r");
        CHECK(stream != NULL);
        ADD(ep, fileno(stream), EPOLLIN, 2);
        struct events events = wait_events(ep, BOUND_MS);
        CHECK_EQ(events.n, 1);
        CHECK_EQ(events.at[0].data.u64, 2);
        CHECK(events.at[0].events & EPOLLIN);
        CHECK(fgets(line, sizeof line, stream) != NULL);
        CHECK(strcmp(line, "heard\n") == 0);
        EXPECT_BITS(ep, 2, EPOLLHUP);

        /* pclose() closes the descriptor inside libc. */
        CHECK_EQ(pclose(stream), 0);
        EXPECT_NONE_NOW(ep);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

/* A drain inside libc, by fread() or fgets(), is a drain: a refill with the same amount is an edge
 * (E1, E6). */
#include "harness.h"

void test(void)
{
    for (int kind = 0; kind < 2; kind++) {
        int ep = new_epoll(), fd[2];
        char line[64];
        if (kind == 0)
            make_pipe(fd);
        else
            make_pair(SOCK_STREAM, fd);
        FILE *stream = fdopen(fd[0], "r");
        CHECK(stream != NULL);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        for (int i = 0; i < 5; i++) {
            CHECK_EQ(write(fd[1], "line\n", 5), 5);
            EXPECT_ONE(ep, 1, EPOLLIN);
            CHECK(fgets(line, sizeof line, stream) != NULL);
        }
        struct waiter waiter;
        start_waiter(&waiter, ep);
        CHECK_EQ(write(fd[1], "line\n", 5), 5);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(fclose(stream), 0);
        EXPECT_NONE_NOW(ep);
    }
}

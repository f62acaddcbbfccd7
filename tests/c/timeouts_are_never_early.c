/* A positive timeout never ends early, in milliseconds or in nanoseconds, with or without idle
 * items (W2). */
#include "harness.h"

static void time_waits(int ep)
{
    struct epoll_event at;
    int ms[] = {1, 2, 3, 5, 10, 17, 33};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
        for (enum call call = WAIT; call <= PWAIT2; call++)
            for (int j = 0; j < 5; j++) {
                int64_t start = now_ns();
                CHECK_EQ(wait_by(call, ep, &at, 1, ms[i], NULL), 0);
                int64_t took = now_ns() - start;
                CHECK(took >= ms[i] * 1000000ll);
                CHECK(took < 5000000000ll);
            }

    long ns[] = {1, 999, 1000, 50000, 123456, 999999, 1000001, 2500001};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (int j = 0; j < 20; j++) {
            struct timespec timeout = {0, ns[i]};
            int64_t start = now_ns();
            CHECK_EQ(epoll_pwait2(ep, &at, 1, &timeout, NULL), 0);
            int64_t took = now_ns() - start;
            CHECK(took >= ns[i]);
            CHECK(took < 5000000000ll);
        }
}

void test(void)
{
    int ep = new_epoll(), fd[2];
    time_waits(ep);
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    time_waits(ep);

    /* With an unread edge that the mask no longer asks for. */
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    time_waits(ep);
}

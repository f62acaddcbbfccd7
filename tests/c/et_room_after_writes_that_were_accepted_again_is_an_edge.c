/* A connection that has refused a write has an edge of room when there is room again, even if the
 * program has written to it meanwhile. It has one when an option makes room, too, and none for
 * writes that were all accepted (E5). */
#include "harness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

static int ep, fd[2];

static void fill_and_drain(void)
{
    static char bytes[65536];
    while (write(fd[0], bytes, sizeof bytes) == sizeof bytes)
        ;
    (void)write(fd[0], "x", 1);
    CHECK_EQ(read(fd[1], bytes, 1), 1);
    (void)write(fd[0], "x", 1);
    bool is_reported = false;
    for (int64_t end = now_ns() + BOUND_MS * 1000000ll; !is_reported && now_ns() < end;) {
        while (recv(fd[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            ;
        is_reported = wait_events(ep, 1).n > 0;
    }
    CHECK(is_reported);
    while (wait_events(ep, 1).n > 0 || recv(fd[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

void test(void)
{
    int lowest = 10000, size = 300000;
    make_tcp(fd);
    ADD(ep = new_epoll(), fd[0], EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 30; i++) {
        fill_and_drain();
        write_bytes(fd[0], 100);
        EXPECT_NONE_NOW(ep);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        CHECK_EQ(read_all(fd[0]), 1);
        CHECK_EQ(read_all(fd[1]), 100);
    }
    OK(setsockopt(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowest, sizeof lowest));
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    EXPECT_ONE(ep, 1, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
}

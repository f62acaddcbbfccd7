/* An arrival while a thread sleeps is an event (E6), also in the wait in which the first descriptor of
 * an instance begins to send signals. With EPOLYFILL_POLLER=auto, where the kernel refuses io_uring,
 * edges are polled until they have been reported a few times. */
#include "harness.h"

static const uint32_t masks[] = {EPOLLIN | EPOLLET, EPOLLIN | EPOLLRDHUP | EPOLLET, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};

enum { ROUNDS = 20, MASKS = sizeof masks / sizeof *masks };

static void arrivals(uint32_t mask, bool is_tcp)
{
    int fd[2], ep = new_epoll();
    if (is_tcp)
        make_tcp(fd);
    else
        make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], mask, 0);
    if (mask & EPOLLOUT)
        EXPECT_ONE(ep, 0, EPOLLOUT);
    for (int round = 0; round < ROUNDS; round++) {
        struct waiter waiter = {0};
        start_waiter(&waiter, ep);
        write_bytes(fd[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, mask & (EPOLLIN | EPOLLOUT));
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(read_all(fd[0]), 1);
        write_bytes(fd[0], 1);
        CHECK_EQ(read_all(fd[1]), 1);
    }
    OK(close(ep));
    OK(close(fd[0]));
    OK(close(fd[1]));
}

void test(void)
{
    for (int i = 0; i < MASKS; i++) {
        arrivals(masks[i], true);
        /* The peer of a unix socket wakes its writers whenever it reads (E4). */
        if (!(masks[i] & EPOLLOUT))
            arrivals(masks[i], false);
    }
}

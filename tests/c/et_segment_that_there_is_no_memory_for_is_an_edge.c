/* A TCP segment that is dropped because the receiver lacks memory wakes the threads that wait for
 * data. The window is shut then, and a segment that is sent into a shut window wakes no thread,
 * whichever side drops it (E1). */
#include "harness.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { SEGMENT = 5000 };

static int fd[2];

static unsigned drops(void)
{
    unsigned memory[9];
    socklen_t length = sizeof memory;
    OK(getsockopt(fd[0], SOL_SOCKET, SO_MEMINFO, memory, &length));
    return memory[8];
}

static int queued(void)
{
    int bytes;
    OK(ioctl(fd[0], FIONREAD, &bytes));
    return bytes;
}

static void drop_a_segment(void)
{
    unsigned before = drops();
    OK(setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int)));
    write_bytes(fd[1], SEGMENT);
    UNTIL(drops() > before);
}

void test(void)
{
    int first = new_epoll(), second = new_epoll(), outer = new_epoll();
    make_tcp(fd);
    OK(setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    ADD(first, fd[0], EPOLLIN | EPOLLET, 1);
    ADD(second, fd[0], EPOLLIN | EPOLLET, 2);
    ADD(outer, second, EPOLLIN | EPOLLET, 3);
    write_bytes(fd[1], SEGMENT);
    EXPECT_ONE(first, 1, EPOLLIN);
    write_bytes(fd[1], SEGMENT);
    UNTIL(queued() == 2 * SEGMENT);
    EXPECT_ONE(first, 1, EPOLLIN);
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_ONE(second, 2, EPOLLIN);
    drop_a_segment();
    CHECK_EQ(queued(), 2 * SEGMENT);
    EXPECT_ONE(first, 1, EPOLLIN);
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_ONE(second, 2, EPOLLIN);

    /* TCP retransmits it, after 200 ms and at growing intervals. */
    unsigned before = drops();
    UNTIL(drops() >= before + 2);
    EXPECT_NONE_NOW(first);
    EXPECT_NONE_NOW(outer);
    EXPECT_NONE_NOW(second);

    /* It arrives. */
    OK(setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int)));
    static char bytes[2 * SEGMENT];
    CHECK_EQ(read(fd[0], bytes, sizeof bytes), sizeof bytes);
    EXPECT_ONE(first, 1, EPOLLIN);
    EXPECT_ONE(second, 2, EPOLLIN);
    CHECK_EQ(queued(), SEGMENT);
    EXPECT_NONE_NOW(first);

    /* The next segment wakes a sleeping thread. */
    struct waiter waiter;
    start_waiter(&waiter, first);
    drop_a_segment();
    CHECK_EQ(join_waiter(&waiter), 1);
    EXPECT_ONE(second, 2, EPOLLIN);
}

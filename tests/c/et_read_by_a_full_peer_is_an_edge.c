/* A unix datagram socket whose full peer refused a write is woken when the peer reads, although the
 * socket itself has no space yet: its other high levels are reported again, and outer instances get
 * an edge. A later read is not an edge until the peer refuses another write (E4, W4). */
#include "harness.h"

#include <sys/un.h>

/* Reading one such message frees too little for EPOLLOUT: at least a quarter of the sender's buffer
 * is still in use while the peer is full. */
enum { MESSAGE = 4096, BUFFER = 106496 };

static int from, to;

static size_t send_all(void)
{
    static const char message[MESSAGE];
    size_t n = 0;
    while (send(from, message, MESSAGE, MSG_DONTWAIT) == MESSAGE)
        n++;
    CHECK_EQ(errno, EAGAIN);
    return n;
}

static void take_one(void)
{
    char byte;
    CHECK_EQ(OK(recv(to, &byte, 1, MSG_DONTWAIT)), 1);
}

static void connect_both(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof address;
    int buffer = BUFFER;
    to = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), from = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    OK(bind(to, (struct sockaddr *)&address, sizeof address.sun_family));
    OK(getsockname(to, (struct sockaddr *)&address, &length));
    OK(connect(from, (struct sockaddr *)&address, length));
    OK(setsockopt(from, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer));
}

/* Reads one message after a refusal, and another one. */
static void rounds(int ep, uint64_t data, uint32_t levels)
{
    for (int round = 0; round < 3; round++) {
        EXPECT_NONE_NOW(ep);
        take_one();
        EXPECT_ONE(ep, data, levels);
        EXPECT_NONE_NOW(ep);
        take_one();
        EXPECT_NONE_NOW(ep);
        CHECK_EQ(send_all(), 2);
    }
}

static void alone(uint32_t level)
{
    int ep = new_epoll();
    connect_both();
    OK(shutdown(from, SHUT_RD)); /* so that a level is high */
    ADD(ep, from, level | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, level | EPOLLOUT);
    size_t queued = send_all();
    rounds(ep, 1, level);
    while (queued-- > 0)
        take_one();
    EXPECT_ONE(ep, 1, level | EPOLLOUT);
    OK(send(from, "x", 1, 0));
    EXPECT_NONE_NOW(ep);
    OK(close(ep)), OK(close(from)), OK(close(to));
}

/* A thread sleeps meanwhile, and already waits for EPOLLOUT. */
static void asleep(void)
{
    int ep = new_epoll();
    connect_both();
    OK(shutdown(from, SHUT_RD));
    ADD(ep, from, EPOLLRDHUP | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLRDHUP | EPOLLOUT);
    send_all();
    EXPECT_NONE_NOW(ep);
    take_one();
    EXPECT_ONE(ep, 1, EPOLLRDHUP);
    for (int round = 0; round < 3; round++) {
        struct waiter waiter;
        EXPECT_NONE_NOW(ep);
        start_waiter(&waiter, ep);
        CHECK_EQ(send_all(), 1);
        take_one();
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, EPOLLRDHUP);
    }
    OK(close(ep)), OK(close(from)), OK(close(to));
}

/* The peer was emptied before any thread waited for EPOLLOUT. */
static void full_no_more(void)
{
    int ep = new_epoll();
    connect_both();
    ADD(ep, from, EPOLLET, 1);
    for (size_t queued = send_all(); queued > 0; queued--)
        take_one();
    MOD(ep, from, EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(send(from, "x", 1, 0));
    EXPECT_NONE_NOW(ep);
    OK(close(ep)), OK(close(from)), OK(close(to));
}

static void inside(void)
{
    int outer = new_epoll(), inner = new_epoll();
    connect_both();
    ADD(inner, OK(eventfd(1, 0)), EPOLLIN, 5); /* so that an item is ready */
    ADD(inner, from, EPOLLOUT, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    EXPECT_ONE(outer, 3, EPOLLIN);
    send_all();
    rounds(outer, 3, EPOLLIN);
}

void test(void)
{
    alone(EPOLLIN);
    alone(EPOLLRDHUP);
    asleep();
    full_no_more();
    inside();
}

/* An arrival in an inner instance is an edge of the outer one, even if it is read at once while
 * another thread polls the inner instance, whatever the time of that look: also between the call
 * that reads and the next call (N2). */
#include "harness.h"

enum { ROUNDS = 300 };

static int inner, outer;
static atomic_bool over;

static void *look(void *unused)
{
    struct pollfd entry = {.fd = inner, .events = POLLIN};
    while (!over)
        CHECK_EQ(poll(&entry, 1, 0), 1);
    return unused;
}

static void give(int fd)
{
    static const char bytes[8] = {1};
    CHECK_EQ(write(fd, bytes, sizeof bytes), sizeof bytes);
}

static void expire(int timer)
{
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    struct pollfd entry = {.fd = timer, .events = POLLIN};
    OK(timerfd_settime(timer, 0, &soon, NULL));
    CHECK_EQ(poll(&entry, 1, BOUND_MS), 1);
}

static void taken_at_once(const char *what, int source, int sink, void (*arrive)(int))
{
    subject = what;
    ADD(inner, sink, EPOLLIN, 2);
    (void)wait_events(outer, 0);
    EXPECT_NONE_NOW(outer);
    struct thread thread;
    over = false;
    start_thread(&thread, look, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        /* An arrival that is reported, and another one behind it. */
        char bytes[16];
        arrive(source);
        if (i % 2 == 1) {
            EXPECT_ONE(outer, 3, EPOLLIN);
            if (source != sink)
                arrive(source);
        }
        while (read(sink, bytes, sizeof bytes) > 0) {
        }
        CHECK_EQ(errno, EAGAIN);
        if (i % 2 == 0 || source != sink)
            EXPECT_ONE(outer, 3, EPOLLIN);
        EXPECT_NONE_NOW(outer);
    }
    over = true;
    join_thread(&thread);
    DEL(inner, sink);
    if (source != sink)
        OK(close(source));
    OK(close(sink));
    subject = NULL;
}

static void pair(const char *what, int type)
{
    int fd[2];
    OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fd));
    taken_at_once(what, fd[0], fd[1], give);
}

void test(void)
{
    outer = new_epoll(), inner = new_epoll();
    ADD(inner, OK(eventfd(1, EFD_NONBLOCK)), EPOLLIN, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    EXPECT_ONE(outer, 3, EPOLLIN);

    int fd[2];
    OK(pipe2(fd, O_NONBLOCK));
    taken_at_once("a pipe", fd[1], fd[0], give);
    pair("a stream", SOCK_STREAM);
    pair("packets", SOCK_SEQPACKET);
    pair("datagrams", SOCK_DGRAM);
    int timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), counter = OK(eventfd(0, EFD_NONBLOCK));
    taken_at_once("a timer", timer, timer, expire);
    taken_at_once("an eventfd", counter, counter, give);
}

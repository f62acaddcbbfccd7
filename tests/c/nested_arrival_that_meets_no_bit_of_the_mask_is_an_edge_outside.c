/* An arrival that wakes a registration in an inner instance is an edge of the outer one if another
 * item is ready inside, even if the registration is level-triggered and its mask has none of the
 * new levels. A signal or an inotify event wakes without a key; an arrival at a socket also wakes
 * registrations for urgent data (N2). */
#include "harness.h"

#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

static int outer, inner, stays;

static void watch(int fd, uint32_t mask)
{
    outer = new_epoll(), inner = new_epoll(), stays = OK(eventfd(1, EFD_NONBLOCK));
    ADD(inner, stays, EPOLLIN, 1);
    ADD(inner, fd, mask, 2);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
}

static void expect_edge(bool edge)
{
    if (edge)
        EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    EXPECT_ONE(inner, 1, EPOLLIN);
    EXPECT_ONE(inner, 1, EPOLLIN);
    EXPECT_NONE_NOW(outer);
}

static void leave(void)
{
    OK(close(outer)), OK(close(inner)), OK(close(stays));
}

static void signals(uint32_t mask)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGHUP);
    PT(pthread_sigmask(SIG_BLOCK, &set, NULL));
    sigdelset(&set, SIGHUP);
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
    watch(fd, mask);
    OK(raise(SIGUSR1));
    expect_edge(true);
    OK(raise(SIGUSR2));
    expect_edge(true);
    struct signalfd_siginfo taken[2];
    CHECK_EQ(read(fd, taken, sizeof taken), sizeof taken);
    EXPECT_NONE_NOW(outer);
    OK(raise(SIGUSR1));
    CHECK_EQ(read(fd, taken, sizeof *taken), sizeof *taken);
    expect_edge(true);
    /* A signal that its mask does not have. */
    OK(raise(SIGHUP));
    expect_edge(true);
    OK(raise(SIGUSR1));
    expect_edge(true);
    CHECK_EQ(read(fd, taken, sizeof *taken), sizeof *taken);
    expect_edge(false);
    sigset_t pending;
    int number;
    sigemptyset(&pending), sigaddset(&pending, SIGHUP);
    PT(sigwait(&pending, &number));
    leave(), OK(close(fd));
}

static void files(uint32_t mask)
{
    char directory[] = "/tmp/epolyfill-XXXXXX", file[64];
    CHECK(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/file", directory);
    int fd = OK(inotify_init1(IN_NONBLOCK));
    OK(inotify_add_watch(fd, directory, IN_CREATE | IN_DELETE));
    watch(fd, mask);
    OK(close(OK(creat(file, 0600))));
    expect_edge(true);
    OK(unlink(file));
    expect_edge(true);
    OK(rmdir(directory));
    leave(), OK(close(fd));
}

/* Bytes or datagrams from one socket to another. */
static void sockets(int from, int to, uint32_t mask, bool edge)
{
    char byte = 0;
    watch(to, mask);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(send(from, &byte, 1, 0), 1);
        expect_edge(edge);
    }
    while (recv(to, &byte, 1, MSG_DONTWAIT) == 1)
        ;
    CHECK_EQ(send(from, &byte, 1, 0), 1);
    CHECK_EQ(recv(to, &byte, 1, 0), 1);
    expect_edge(edge);
    leave(), OK(close(from)), OK(close(to));
}

static void pair(int domain, int type, uint32_t mask, bool edge)
{
    int ends[2];
    if (domain == AF_UNIX) {
        OK(socketpair(domain, type, 0, ends));
    } else {
        struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof own;
        int bound = OK(socket(domain, type, 0));
        OK(bind(bound, (struct sockaddr *)&own, length));
        OK(getsockname(bound, (struct sockaddr *)&own, &length));
        if (type == SOCK_STREAM)
            OK(listen(bound, 1));
        ends[0] = OK(socket(domain, type, 0));
        OK(connect(ends[0], (struct sockaddr *)&own, length));
        ends[1] = bound;
        if (type == SOCK_STREAM)
            ends[1] = OK(accept(bound, NULL, NULL)), OK(close(bound));
    }
    sockets(ends[0], ends[1], mask, edge);
}

void test(void)
{
    static const uint32_t none[] = {0, EPOLLPRI | EPOLLWRNORM, EPOLLRDBAND | EPOLLWRBAND};
    for (int i = 0; i < 3; i++)
        signals(none[i]), files(none[i]);
    static const uint32_t urgent[] = {EPOLLPRI, EPOLLRDBAND};
    for (int i = 0; i < 3; i++) {
        uint32_t mask = i < 2 ? urgent[i] : EPOLLERR;
        pair(AF_UNIX, SOCK_STREAM, mask, i < 2);
        pair(AF_UNIX, SOCK_DGRAM, mask, i < 2);
        pair(AF_INET, SOCK_STREAM, mask, i < 2);
        pair(AF_INET, SOCK_DGRAM, mask, i < 2);
    }
}

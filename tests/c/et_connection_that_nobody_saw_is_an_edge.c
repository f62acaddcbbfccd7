/* A file that was reported as hung up can come back to life by a call that bypasses libc: a socket
 * that connects or listens, and a pipe that is opened again. Later arrivals are reported, also to a
 * thread that sleeps (E3, E6). */
#include "bare.h"
#include "harness.h"
#include <netinet/in.h>
#include <sys/un.h>

static int hung_up(int ep, int family)
{
    int fd = OK(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
    EXPECT_NONE(ep);
    return fd;
}

static void tcp(bool sleeps)
{
    int ep = new_epoll(), listener = tcp_listener(), fd = hung_up(ep, AF_INET);
    struct sockaddr_in to;
    struct waiter waiter;
    socklen_t size = sizeof to;
    subject = "tcp";
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    if (sleeps)
        start_waiter(&waiter, ep);
    CHECK_EQ(bare(SYS_connect, fd, (long)&to, size, 0, 0, 0), -EINPROGRESS);
    if (sleeps) {
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, EPOLLOUT);
    } else {
        EXPECT_ONE(ep, 1, EPOLLOUT);
    }
    int server = OK(accept(listener, NULL, NULL));
    for (int i = 0; i < 3; i++) {
        write_bytes(server, 5);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    }
}

static void tcp_listens(void)
{
    int ep = new_epoll(), fd = hung_up(ep, AF_INET);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    subject = "tcp listener";
    OK(bind(fd, (struct sockaddr *)&to, size));
    CHECK_EQ(bare(SYS_listen, fd, 4, 0, 0, 0, 0), 0);
    OK(getsockname(fd, (struct sockaddr *)&to, &size));
    for (int i = 0; i < 2; i++) {
        OK(connect(OK(socket(AF_INET, SOCK_STREAM, 0)), (struct sockaddr *)&to, size));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

static void unix_stream(void)
{
    int ep = new_epoll(), listener = OK(socket(AF_UNIX, SOCK_STREAM, 0)), fd = hung_up(ep, AF_UNIX);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    socklen_t size = sizeof to;
    subject = "unix stream";
    /* The kernel chooses a name. */
    OK(bind(listener, (struct sockaddr *)&to, sizeof(sa_family_t)));
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    OK(listen(listener, 4));
    CHECK_EQ(bare(SYS_connect, fd, (long)&to, size, 0, 0, 0), 0);
    int server = OK(accept(listener, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        write_bytes(server, 5);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    }
}

static void a_pipe(void)
{
    int ep = new_epoll(), fd[2];
    char path[32];
    subject = "pipe";
    make_pipe(fd);
    OK(close(fd[1]));
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLHUP);
    EXPECT_NONE(ep);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd[0]);
    fd[1] = open(path, O_WRONLY);
    if (fd[1] < 0)
        return;
    for (int i = 0; i < 2; i++) {
        write_bytes(fd[1], 5);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

void test(void)
{
    tcp(false);
    tcp(true);
    tcp_listens();
    unix_stream();
    a_pipe();
}

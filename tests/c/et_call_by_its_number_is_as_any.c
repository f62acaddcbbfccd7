/* A call through syscall() that begins, drains or fills is seen like the call by name: for a
 * connection, a listener, messages, splices, timers, message queues, signals and the state of a
 * socket (E1, E3, E4). */
#include "harness.h"
#include <mqueue.h>
#include <netinet/in.h>
#include <sys/signalfd.h>
#include <sys/un.h>

static void connects_and_listens(void)
{
    int ep = new_epoll(), listener = tcp_listener(), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    struct sockaddr_in to, none = {.sin_family = AF_UNSPEC};
    socklen_t size = sizeof to;
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
    syscall(SYS_connect, fd, &to, size);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    OK(syscall(SYS_connect, fd, &none, sizeof none));
    EXPECT_BITS(ep, 1, EPOLLOUT | EPOLLHUP | EPOLLERR);
    EXPECT_NONE_NOW(ep);
    to.sin_port = 0;
    OK(bind(fd, (struct sockaddr *)&to, size));
    OK(syscall(SYS_listen, fd, 4));
    OK(getsockname(fd, (struct sockaddr *)&to, &size));
    for (int i = 0; i < 2; i++) {
        int client = OK(socket(AF_INET, SOCK_STREAM, 0));
        OK(connect(client, (struct sockaddr *)&to, size));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

static void messages(void)
{
    int ep = new_epoll(), fd[2];
    char byte = 'x', room[16];
    struct iovec from = {&byte, 1}, into = {room, sizeof room};
    make_pair(SOCK_DGRAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        struct mmsghdr message = {.msg_hdr = {.msg_iov = &from, .msg_iovlen = 1}};
        CHECK_EQ(syscall(SYS_sendmmsg, fd[1], &message, 1, 0), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        message.msg_hdr.msg_iov = &into;
        CHECK_EQ(syscall(SYS_recvmmsg, fd[0], &message, 1, MSG_DONTWAIT, NULL), 1);
    }
}

static void pipes(void)
{
    int ep = new_epoll(), fd[2], other[2];
    char byte = 'x';
    struct iovec part = {&byte, 1};
    make_pipe(fd);
    make_pipe(other);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 6; i++) {
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        if (i % 3 == 0)
            CHECK_EQ(syscall(SYS_splice, fd[0], NULL, other[1], NULL, 1L, SPLICE_F_NONBLOCK), 1);
        else if (i % 3 == 1)
            CHECK_EQ(syscall(SYS_preadv2, fd[0], &part, 1, -1L, -1L, 0), 1);
        else
            CHECK_EQ(syscall(SYS_vmsplice, fd[0], &part, 1, SPLICE_F_NONBLOCK), 1);
    }
}

static void timer(void)
{
    int ep = new_epoll(), fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec soon = {.it_value.tv_nsec = 1000000};
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        OK(syscall(SYS_timerfd_settime, fd, 0, &soon, NULL));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

/* A message is taken and another one put in between two waits. */
static void queue(void)
{
    char name[64], byte = 'x';
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 1};
    snprintf(name, sizeof name, "/epolyfill-number-%d", getpid());
    mqd_t fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attributes);
    if (fd < 0)
        return; /* no file system for them */
    OK(mq_unlink(name));
    int ep = new_epoll();
    OK(syscall(SYS_mq_timedsend, fd, &byte, 1L, 0, NULL));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(syscall(SYS_mq_timedreceive, fd, &byte, 1L, NULL, NULL), 1);
        CHECK_ERRNO(syscall(SYS_mq_timedreceive, fd, &byte, 1L, NULL, NULL), EAGAIN);
        OK(syscall(SYS_mq_timedsend, fd, &byte, 1L, 0, NULL));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

static void connections(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int ep = new_epoll(), fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    socklen_t size = sizeof at;
    OK(bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)));
    OK(getsockname(fd, (struct sockaddr *)&at, &size));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLHUP);
    OK(syscall(SYS_listen, fd, 4));
    int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(syscall(SYS_connect, client, &at, size));
    EXPECT_ONE(ep, 1, EPOLLIN);
    for (int i = 0; i < 4; i++) {
        int accepted = OK(i % 2 ? syscall(SYS_accept, fd, NULL, NULL) : syscall(SYS_accept4, fd, NULL, NULL, 0));
        OK(close(accepted));
        OK(close(client));
        client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
        OK(syscall(SYS_connect, client, &at, size));
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

static void signals(void)
{
    sigset_t one, both;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    both = one;
    sigaddset(&both, SIGUSR2);
    PT(pthread_sigmask(SIG_BLOCK, &both, NULL));
    int ep = new_epoll(), fd = OK(signalfd(-1, &one, SFD_NONBLOCK));
    OK(kill(getpid(), SIGUSR1));
    ADD(ep, fd, EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(syscall(SYS_signalfd4, fd, &both, 8L, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
#ifdef SYS_signalfd
    OK(syscall(SYS_signalfd, fd, &one, 8L));
    EXPECT_ONE(ep, 1, EPOLLIN);
#endif
    EXPECT_NONE_NOW(ep);
    OK(close(fd));
}

static void state_of_a_socket(void)
{
    int ep = new_epoll(), fd[2], error;
    socklen_t size = sizeof error;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
    OK(syscall(SYS_shutdown, fd[1], SHUT_WR));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLRDHUP);
    EXPECT_NONE_NOW(ep);
    OK(syscall(SYS_shutdown, fd[1], SHUT_WR));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLRDHUP);

    /* An error is taken, and the same one comes again. */
    int client = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), closed = OK(socket(AF_INET, SOCK_DGRAM, 0));
    OK(bind(closed, (struct sockaddr *)&to, sizeof to));
    socklen_t length = sizeof to;
    OK(getsockname(closed, (struct sockaddr *)&to, &length));
    OK(close(closed));
    OK(syscall(SYS_connect, client, &to, length));
    OK(write(client, "x", 1));
    ADD(ep, client, EPOLLIN | EPOLLET, 2);
    EXPECT_ONE(ep, 2, EPOLLERR);
    for (int i = 0; i < 3; i++) {
        OK(syscall(SYS_getsockopt, client, SOL_SOCKET, SO_ERROR, &error, &size));
        CHECK_EQ(error, ECONNREFUSED);
        OK(write(client, "x", 1));
        EXPECT_ONE(ep, 2, EPOLLERR);
    }
}

void test(void)
{
    connects_and_listens();
    messages();
    pipes();
    timer();
    queue();
    connections();
    signals();
    state_of_a_socket();
}

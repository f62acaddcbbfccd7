/* A wait with nothing new to report sleeps, even if the levels of reported edges and spent one-shot
 * items are still high (W4, W5). */
#include "harness.h"

#include <netinet/in.h>

static void consume(int ep)
{
    while (wait_events(ep, QUIET_MS).n > 0)
        ;
}

static void expect_sleep(int ep)
{
    consume(ep);
    int64_t before = cpu_ns();
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(wait_events(ep, 300).n, 0);
    CHECK(cpu_ns() - before < 30000000);
}

void test(void)
{
    int fd[2], ep;

    subject = "unread pipe";
    ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 2);
    write_bytes(fd[1], 100);
    expect_sleep(ep);

    subject = "hung-up pipe";
    ep = new_epoll();
    make_pipe(fd);
    write_bytes(fd[1], 100);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    OK(close(fd[1]));
    expect_sleep(ep);

    subject = "hung-up unread unix stream";
    ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    write_bytes(fd[1], 100);
    OK(close(fd[1]));
    expect_sleep(ep);

    subject = "hung-up unread tcp";
    ep = new_epoll();
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    write_bytes(fd[1], 100);
    OK(close(fd[1]));
    OK(shutdown(fd[0], SHUT_RDWR));
    expect_sleep(ep);

    subject = "refused writer whose reader is gone";
    ep = new_epoll();
    make_pipe(fd);
    fill(fd[1]);
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    OK(close(fd[0]));
    expect_sleep(ep);

    subject = "spent oneshot with a hang-up";
    ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLONESHOT, 1);
    write_bytes(fd[1], 100);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(close(fd[1]));
    expect_sleep(ep);

    subject = "switched off, hung up";
    ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLET, 1);
    OK(close(fd[1]));
    expect_sleep(ep);

    subject = "level with another mask";
    ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLPRI, 1);
    write_bytes(fd[1], 100);
    expect_sleep(ep);

    subject = "unread eventfd, timer and listener";
    ep = new_epoll();
    int timer = OK(timerfd_create(CLOCK_MONOTONIC, 0)), listener = tcp_listener();
    struct itimerspec every = {{0, 20000000}, {0, 1}};
    OK(timerfd_settime(timer, 0, &every, NULL));
    ADD(ep, timer, EPOLLIN | EPOLLET, 1);
    ADD(ep, OK(eventfd(1, 0)), EPOLLIN | EPOLLET, 2);
    ADD(ep, listener, EPOLLIN | EPOLLET, 3);
    tcp_client_of(listener);
    expect_sleep(ep);

    subject = "edge of a ready inner instance";
    int inner = new_epoll();
    ep = new_epoll();
    ADD(inner, OK(eventfd(1, 0)), EPOLLIN, 1);
    ADD(ep, inner, EPOLLIN | EPOLLET, 2);
    expect_sleep(ep);
}

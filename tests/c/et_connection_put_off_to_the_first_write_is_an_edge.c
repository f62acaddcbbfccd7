/* With TCP_FASTOPEN_CONNECT and a cookie, connect() sends nothing and the first write begins the
 * connection. The connection is an edge then, whether EPOLLOUT was reported before the write or not
 * (E3). */
#include "harness.h"
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

/* A network namespace of our own, in which such connections are allowed. */
static void make_network(void)
{
    struct ifreq loopback = {.ifr_name = "lo"};
    if (unshare(CLONE_NEWNET) < 0)
        exit(77);
    int fd = OK(socket(AF_INET, SOCK_DGRAM, 0)), setting = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY);
    OK(ioctl(fd, SIOCGIFFLAGS, &loopback));
    loopback.ifr_flags |= IFF_UP;
    OK(ioctl(fd, SIOCSIFFLAGS, &loopback));
    if (setting < 0 || write(setting, "3", 1) != 1)
        exit(77);
    OK(close(setting));
}

void test(void)
{
    int on = 1, queue = 16, put_off = 0;
    make_network();
    int listener = tcp_listener();
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    OK(setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue));
    OK(getsockname(listener, (struct sockaddr *)&to, &size));
    for (int i = 0; i < 9; i++) {
        /* The first connection fetches the cookie. */
        bool waits = i & 1, registered = i & 2, splits = i & 4;
        int ep = new_epoll(), fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        OK(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
        if (registered) {
            ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
            EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
        }
        bool at_once = connect(fd, (struct sockaddr *)&to, size) == 0;
        put_off += at_once;
        if (!registered)
            ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
        if (at_once && waits && !registered)
            EXPECT_ONE(ep, 1, EPOLLOUT);
        else if (at_once && waits)
            EXPECT_NONE(ep);
        else if (!at_once)
            EXPECT_ONE(ep, 1, EPOLLOUT);
        CHECK_EQ(splits ? send(fd, "hello", 5, 0) : write(fd, "hello", 5), 5);
        if (at_once)
            EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE(ep);
        write_bytes(fd, 5);
        EXPECT_NONE(ep);
        int server = OK(accept(listener, NULL, NULL));
        for (int k = 0; k < 2; k++) {
            write_bytes(server, 1);
            EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        }
        OK(close(server));
        OK(close(fd));
        OK(close(ep));
    }
    if (put_off == 0)
        exit(77);
}

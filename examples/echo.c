/*
 * An edge-triggered echo server, linked with epolyfill.
 *
 * It shows that epoll is used as usual: <sys/epoll.h>, one registration per connection for both
 * directions (EPOLLIN | EPOLLOUT | EPOLLET), and a handler that continues until read() or write()
 * fails with EAGAIN. Only epolyfill_version() is not epoll's.
 *
 *   cargo build --release
 *   ln -sf libepolyfill.so target/release/libepolyfill.so.0
 *   gcc -O2 -Iinclude examples/echo.c -o echo -Ltarget/release -lepolyfill -pthread -Wl,-rpath,"$PWD/target/release"
 *   ./echo 7777            serves 127.0.0.1:7777 until it is interrupted
 *   ./echo --self-test     sends itself eight megabytes, compares the echo, and exits
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <epolyfill.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd;
    size_t from, to; /* bytes read but not yet written, from `from` to `to` */
    char bytes[16384];
};

static size_t accepted, closed, echoed, refused, waits;

static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

/* Echoes data until a call fails with EAGAIN: the next edge comes after that. Returns false when
 * the connection is over. */
static bool pump(struct connection *c)
{
    for (;;) {
        while (c->from < c->to) {
            ssize_t n = send(c->fd, c->bytes + c->from, c->to - c->from, MSG_NOSIGNAL);
            if (n < 0) {
                refused += errno == EAGAIN;
                return errno == EAGAIN;
            }
            c->from += (size_t)n;
            echoed += (size_t)n;
        }
        ssize_t n = read(c->fd, c->bytes, sizeof c->bytes);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        c->from = 0;
        c->to = (size_t)n;
    }
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL) {
            close(fd);
            continue;
        }
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
        accepted++;
    }
}

/* Serves forever, or until the one connection of the self-test is over. */
static void serve(int listener, bool once)
{
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    while (!once || closed == 0) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, -1);
        if (n < 0 && errno != EINTR)
            must(n, "epoll_wait");
        waits++;
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL) {
                accept_all(epoll, listener);
            } else if (!pump(c)) {
                close(c->fd); /* also ends the registration */
                free(c);
                closed++;
            }
        }
    }
    close(epoll);
}

static int listen_on(unsigned short port, struct sockaddr_in *address)
{
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"), on = 1;
    socklen_t length = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
    must(bind(fd, (struct sockaddr *)address, length), "bind");
    must(listen(fd, SOMAXCONN), "listen");
    must(getsockname(fd, (struct sockaddr *)address, &length), "getsockname");
    return fd;
}

/* --- the self-test: a thread at the other end of one connection ------------------------------- */

enum { TOTAL = 8 * 1024 * 1024 };
static char pattern[TOTAL];

/* Sends until there is no room, and only then reads a little, so that writes fail with EAGAIN on
 * both ends, and both wait for an edge. */
static void *client(void *socket)
{
    static char back[65536];
    size_t sent = 0, compared = 0;
    int fd = *(int *)socket, n;
    do {
        while (sent < TOTAL && (n = (int)send(fd, pattern + sent, TOTAL - sent, MSG_DONTWAIT)) >= 0)
            if ((sent += (size_t)n) == TOTAL)
                must(shutdown(fd, SHUT_WR), "client: shutdown");
        n = must((int)read(fd, back, sizeof back), "client: read");
        if ((size_t)n > sent - compared || memcmp(pattern + compared, back, (size_t)n) != 0)
            break;
        compared += (size_t)n;
    } while (n > 0);
    if (compared != TOTAL) {
        fprintf(stderr, "client: only %zu of %d bytes came back as they were sent\n", compared, TOTAL);
        exit(1);
    }
    close(fd);
    return NULL;
}

static int self_test(void)
{
    struct sockaddr_in address;
    pthread_t thread;
    int listener = listen_on(0, &address), other_end = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    int little = 65536; /* accepted connections inherit it */
    must(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), "setsockopt");
    for (size_t i = 0; i < TOTAL; i++)
        pattern[i] = (char)(i * 2654435761u >> 24);
    alarm(60); /* a lost edge would otherwise hang */
    must(connect(other_end, (struct sockaddr *)&address, sizeof address), "client: connect");
    must(-pthread_create(&thread, NULL, client, &other_end), "pthread_create");
    serve(listener, true);
    pthread_join(thread, NULL);
    printf("%zu connection, %zu bytes echoed and compared, %zu waits, %zu writes refused for want of room\n", accepted, echoed,
           waits, refused);
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    printf("epolyfill %s (header %s)\n", epolyfill_version(), EPOLYFILL_VERSION);
    if (argc == 2 && strcmp(argv[1], "--self-test") == 0)
        return self_test();
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (argc > 2 || port < 0 || port > 65535) {
        fprintf(stderr, "usage: %s [PORT | --self-test]\n", argv[0]);
        return 2;
    }
    int listener = listen_on((unsigned short)port, &address);
    printf("serving 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    serve(listener, false);
}

// Programs for the kinds of chaos. Each is compiled twice: with FAULTY it has a fault that shows only
// in the histories that its kind makes, without it the program is correct. A program that finds its
// own fault exits with 1.
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef FAULTY
enum { faulty = true };
#else
enum { faulty = false };
#endif

enum { ROUNDS = 200 };

static inline void must(bool holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(2);
    }
}

// The fault shows.
static inline void fail(const char *what)
{
    fprintf(stderr, "fault: %s\n", what);
    exit(1);
}

static inline void pause_ms(double ms)
{
    struct timespec time = {0, (long)(ms * 1e6)};
    while (nanosleep(&time, &time) < 0 && errno == EINTR)
        ;
}

static inline int listener(int domain, struct sockaddr_storage *address, socklen_t *length)
{
    int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(address, 0, sizeof *address);
    address->ss_family = domain;
    // A unix socket gets an abstract name by itself.
    socklen_t bound = domain == AF_UNIX ? sizeof(sa_family_t) : sizeof(struct sockaddr_in);
    if (domain == AF_INET)
        ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && bind(fd, (struct sockaddr *)address, bound) == 0 && listen(fd, 64) == 0, "listen");
    *length = sizeof *address;
    must(getsockname(fd, (struct sockaddr *)address, length) == 0, "getsockname");
    return fd;
}

// Starts a process that makes n connections to this one, and runs. The ends here are non-blocking.
static inline void peer(int domain, int n, int ends[], void (*run)(const int theirs[]))
{
    struct sockaddr_storage address;
    socklen_t length;
    int listening = listener(domain, &address, &length);
    pid_t parent = getpid();
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        signal(SIGPIPE, SIG_IGN);
        close(listening);
        int theirs[16];
        for (int i = 0; i < n; i++) {
            theirs[i] = socket(domain, SOCK_STREAM, 0);
            must(connect(theirs[i], (struct sockaddr *)&address, length) == 0, "connect");
        }
        run(theirs);
        _exit(0);
    }
    for (int i = 0; i < n; i++) {
        ends[i] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        must(ends[i] >= 0, "accept");
    }
    close(listening);
}

static inline void add(int epfd, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    must(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

// epoll_wait that goes on after a signal.
static inline int await(int epfd, struct epoll_event *events, int max, int timeout)
{
    int n;
    do
        n = epoll_wait(epfd, events, max, timeout);
    while (n < 0 && errno == EINTR);
    must(n >= 0, "epoll_wait");
    return n;
}

// Reads n bytes of a blocking descriptor.
static inline bool receive(int fd, void *to, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t more = read(fd, (char *)to + got, n - got);
        if (more <= 0)
            return false;
        got += (size_t)more;
    }
    return true;
}

#endif

// Programs for the kinds of chaos. Each is compiled twice: with FAULTY it has a fault that shows only
// in the histories that its kind makes, without it the program is correct. A program that finds its
// own fault exits with 1.
#ifndef PEER_H
#define PEER_H

#include "../see.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/un.h>

#ifdef FAULTY
enum { faulty = true };
#else
enum { faulty = false };
#endif

enum { ROUNDS = 200 };

// The fault shows.
static inline void fail(const char *what)
{
    fprintf(stderr, "fault: %s\n", what);
    exit(1);
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
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)address, bound) == 0 && listen(fd, 64) == 0);
    *length = sizeof *address;
    CHECK(getsockname(fd, (struct sockaddr *)address, length) == 0);
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
    CHECK(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        signal(SIGPIPE, SIG_IGN);
        close(listening);
        int theirs[16];
        for (int i = 0; i < n; i++) {
            theirs[i] = socket(domain, SOCK_STREAM, 0);
            CHECK(connect(theirs[i], (struct sockaddr *)&address, length) == 0);
        }
        run(theirs);
        _exit(0);
    }
    for (int i = 0; i < n; i++) {
        ends[i] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        CHECK(ends[i] >= 0);
    }
    close(listening);
}

// epoll_wait that goes on after a signal.
static inline int await(int epfd, struct epoll_event *events, int max, int timeout)
{
    int n;
    do
        n = epoll_wait(epfd, events, max, timeout);
    while (n < 0 && errno == EINTR);
    CHECK(n >= 0);
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

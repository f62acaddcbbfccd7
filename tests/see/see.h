// Common functions of the programs in this directory, which are run under `epolyfill --audit`. The
// lines at the beginning of each say what the audit has to find: "audit: GRADE RULE FUNCTION", or
// "audit: nothing"; "audit with POLLER: ..." if the pollers differ; audit.py has the others.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #condition);              \
            exit(99);                                                                        \
        }                                                                                    \
    } while (0)

static inline void rest(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0)
        ;
}

static inline void pair(int fds[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}

static inline int new_instance(void)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epfd >= 0);
    return epfd;
}

// Not inlined, so that the registration site has this function's caller below it.
__attribute__((noinline, unused)) static void watch(int epfd, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
}

// A child that sends messages of so many bytes, each 100 ms after the one before was acknowledged.
static inline pid_t sender(int fd, int messages, size_t bytes)
{
    char message[1024] = {0};
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < messages; i++) {
            struct pollfd acknowledged = {.fd = fd, .events = POLLIN};
            rest(100);
            CHECK(write(fd, message, bytes) == (ssize_t)bytes);
            CHECK(poll(&acknowledged, 1, 20000) == 1 && read(fd, message, 1) == 1);
        }
        _exit(0);
    }
    return child;
}

// Waits, and does nothing about what is reported, for half a second of processor time: on a busy
// machine the thread may have none for long.
static inline void spin(int epfd)
{
    struct timespec used;
    do {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
    } while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < 500);
}

// No descriptor number is free when this returns.
__attribute__((unused)) static void take_every_number(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur > 64)
        limit.rlim_cur = 64;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (eventfd(0, EFD_CLOEXEC) >= 0)
        ;
    CHECK(errno == EMFILE);
}

static inline void acknowledge(int fd)
{
    CHECK(write(fd, "", 1) == 1);
}

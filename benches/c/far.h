/*
 * Descriptors whose other ends live in a second process, so that one process can watch as many as
 * it may open.
 *
 * The second process is the program `far` beside this one. It is started without an environment, so
 * that it does not inherit a preloaded library, and without fork, which would be an event of its
 * own in this process.
 */
#ifndef FAR_H
#define FAR_H

#include "common.h"
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum { FAR_BATCH = 200 };

/* Makes a TCP connection over the loopback: the accepted end, and the connecting one. It ends with
 * a reset, because thousands of connections in TIME_WAIT would take the ports of the next run. */
static inline int connection(int ends[2])
{
    static int listener = -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct linger reset = {1, 0};
    int on = 1;
    if (listener < 0) {
        listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        must(bind(listener, (struct sockaddr *)&address, length), "bind");
        must(listen(listener, 1), "listen");
    }
    must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    ends[1] = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(ends[1], (struct sockaddr *)&address, length), "connect");
    must(fcntl(ends[1], F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    ends[0] = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept4");
    for (int i = 0; i < 2; i++) {
        must(setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
        must(setsockopt(ends[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset), "SO_LINGER");
    }
    return ends[0];
}

/* Makes a pipe, or a pair of sockets: bytes that are written to the second end are read from the
 * first. An eventfd has one end. */
static inline void new_ends(const char *kind, int ends[2])
{
    if (strcmp(kind, "eventfd") == 0)
        ends[0] = must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    else if (strcmp(kind, "tcp") == 0)
        connection(ends);
    else if (strcmp(kind, "unix") == 0)
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), "socketpair");
    else if (strcmp(kind, "pipe") == 0)
        must(pipe2(ends, O_CLOEXEC | O_NONBLOCK), "pipe2");
    else
        die("--kind cannot be %s", kind);
}

/* The first ends of `count` pairs, whose second ends the second process keeps. It ends with the
 * first: its socket closes. */
static inline void far_ends(const char *kind, size_t count, int *fds)
{
    char here[PATH_MAX], program[PATH_MAX + 8], number[24];
    int pair[2];
    pid_t pid;
    if (count == 0)
        return;
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    must((int)n, "/proc/self/exe");
    here[n] = 0;
    snprintf(program, sizeof program, "%s/far", dirname(here));
    snprintf(number, sizeof number, "%zu", count);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], 0);
    char *const arguments[] = {"far", (char *)kind, number, NULL}, *const none[] = {NULL};
    int failed = posix_spawn(&pid, program, &actions, NULL, arguments, none);
    if (failed)
        die("%s does not start: %s", program, strerror(failed));
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    for (size_t i = 0; i < count;) {
        char byte, space[CMSG_SPACE(FAR_BATCH * sizeof(int))];
        struct iovec part = {&byte, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        ssize_t got = recvmsg(pair[0], &message, MSG_CMSG_CLOEXEC);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        if (got != 1 || c == NULL || (message.msg_flags & MSG_CTRUNC))
            die("the process with the far ends sent %zu of %zu descriptors", i, count);
        size_t batch = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + i, CMSG_DATA(c), batch * sizeof(int));
        i += batch;
    }
}

#endif

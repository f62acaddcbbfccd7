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
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>

enum { FAR_BATCH = 200 };

/* `kind` is pipe (the read ends come back) or unix (stream sockets). The second process ends with
 * the first: its socket closes. */
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

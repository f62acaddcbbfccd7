/* What the C tests use of glibc and musl lacks, by number; -include'd when they are compiled for
 * musl (tests/cross/run musl). */
#ifndef MUSL_H
#define MUSL_H

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_RANGE_UNSHARE (1U << 1)
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#define lseek64 lseek
#define strerrorname_np strerror

static inline int close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

static inline void closefrom(int first) { close_range(first < 0 ? 0 : first, UINT_MAX, 0); }

static inline int epoll_pwait2(int ep, struct epoll_event *events, int max, const struct timespec *timeout,
                               const sigset_t *mask)
{
    return (int)syscall(SYS_epoll_pwait2, ep, events, max, timeout, mask, _NSIG / 8);
}

static inline int execveat(int directory, const char *path, char *const argv[], char *const environment[], int flags)
{
    return (int)syscall(SYS_execveat, directory, path, argv, environment, flags);
}

static inline int change_bsd_mask(int how, int mask)
{
    sigset_t set, old;
    sigemptyset(&set);
    memcpy(&set, &mask, sizeof mask);
    sigprocmask(how, &set, &old);
    memcpy(&mask, &old, sizeof mask);
    return mask;
}

static inline int sigblock(int mask) { return change_bsd_mask(SIG_BLOCK, mask); }
static inline int sigsetmask(int mask) { return change_bsd_mask(SIG_SETMASK, mask); }
static inline int siggetmask(void) { return sigblock(0); }

#endif

/* The kernel's own epoll beside the one under test, through system calls that bypass every library,
 * so that a test can run a script on both and compare. Where the kernel refuses its epoll, such a
 * test is skipped. Functions return values, or negative errno. */
#ifndef ORACLE_H
#define ORACLE_H

#include "bare.h"
#include "harness.h"

enum side { KERNEL, TESTED };

/* Converts libc's form of an error to the kernel's. */
static inline long plain(long result) { return result == -1 ? -errno : result; }

/* Makes the same system call on either side: by an instruction of its own, or through libc's
 * syscall(). */
static inline long call_on(enum side side, long number, long a, long b, long c, long d, long e, long f)
{
    return side == KERNEL ? bare(number, a, b, c, d, e, f) : plain(syscall(number, a, b, c, d, e, f));
}

static inline void need_the_kernels_epoll(void)
{
    if (bare(SYS_epoll_create1, -1, 0, 0, 0, 0, 0) != -EINVAL)
        exit(77);
}

static inline int create_on(enum side side)
{
    long ep = side == KERNEL ? bare(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0) : plain(epoll_create1(EPOLL_CLOEXEC));
    CHECK(ep >= 0);
    return ep;
}

static inline long control_on(enum side side, int ep, int op, int fd, struct epoll_event *event)
{
    return side == KERNEL ? bare(SYS_epoll_ctl, ep, op, fd, (long)event, 0, 0) : plain(epoll_ctl(ep, op, fd, event));
}

static inline long set_on(enum side side, int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return control_on(side, ep, op, fd, &event);
}

static inline long wait_on(enum side side, int ep, struct epoll_event *at, int max, int timeout_ms)
{
    return side == KERNEL ? bare(SYS_epoll_pwait, ep, (long)at, max, timeout_ms, 0, 8)
                          : plain(epoll_wait(ep, at, max, timeout_ms));
}

static inline void discard_on(enum side side, int ep)
{
    CHECK_EQ(side == KERNEL ? bare(SYS_close, ep, 0, 0, 0, 0, 0) : plain(close(ep)), 0);
}

#endif

/* The common part of the tests of behaviour: checks that print the values they saw, bounded waits,
 * threads that are known to be blocked. A test defines `void test(void)`; main() is in harness.c
 * and first checks that the epoll under test is the one that EPOLYFILL_TEST_WAY names. The kinds of
 * descriptor are in kinds.h. */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef BOUND_MS      /* set for an emulated machine */
#define BOUND_MS 8000 /* within this time an expected event arrives */
#endif
#define QUIET_MS 50   /* for this time nothing may be reported */

void test(void);
extern char **test_argv; /* for tests that exec themselves */

/* Whether the test runs on the kernel's epoll. Use it only for differences that
 * docs/differences.md lists. */
bool on_the_kernel(void);
bool with_a_ring(void);

_Noreturn void die(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern const char *subject; /* the current case of a table-driven test, named in messages */

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            die(__FILE__, __LINE__, "%s does not hold (errno %s)", #cond, strerrorname_np(errno));                     \
    } while (0)

#define CHECK_EQ(a, b)                                                                                                 \
    do {                                                                                                               \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                            \
        if (a_ != b_)                                                                                                  \
            die(__FILE__, __LINE__, "%s is %lld (%#llx), not %s = %lld (%#llx) (errno %s)", #a, a_, a_, #b, b_, b_,    \
                strerrorname_np(errno));                                                                               \
    } while (0)

#define CHECK_ERRNO(call, err)                                                                                         \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long long r_ = (long long)(call);                                                                              \
        int e_ = errno;                                                                                                \
        if (r_ != -1 || e_ != (err))                                                                                   \
            die(__FILE__, __LINE__, "%s is %lld with %s, not -1 with %s", #call, r_, strerrorname_np(e_),              \
                strerrorname_np(err));                                                                                 \
    } while (0)

/* The value of a call that must not fail. */
#define OK(call)                                                                                                       \
    ({                                                                                                                 \
        __typeof__(call) r_ = (call);                                                                                  \
        if (r_ == (__typeof__(r_))-1)                                                                                  \
            die(__FILE__, __LINE__, "%s is -1 with %s", #call, strerrorname_np(errno));                                \
        r_;                                                                                                            \
    })

/* A pthread call that must not fail. */
#define PT(call) CHECK_EQ(call, 0)

/* --- control and wait ------------------------------------------------------------------------- */

int new_epoll(void);
int ctl(int ep, int op, int fd, uint32_t events, uint64_t data);
#define ADD(ep, fd, events, data) CHECK_EQ(ctl(ep, EPOLL_CTL_ADD, fd, events, data), 0)
#define MOD(ep, fd, events, data) CHECK_EQ(ctl(ep, EPOLL_CTL_MOD, fd, events, data), 0)
#define DEL(ep, fd) CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL), 0)

/* Events in the order in which one wait reported them. A failed wait fails the test. */
struct events {
    int n;
    struct epoll_event at[256];
};
struct events wait_events_(const char *file, int line, int ep, int max, int timeout_ms);
#define wait_events(ep, timeout_ms) wait_events_(__FILE__, __LINE__, ep, 256, timeout_ms)
#define wait_at_most(ep, max, timeout_ms) wait_events_(__FILE__, __LINE__, ep, max, timeout_ms)
void sort_by_data(struct events *events);

/* One wait reports exactly one event within the bound, with this data and these bits. */
void expect_one_(const char *file, int line, int ep, uint64_t data, uint32_t bits);
#define EXPECT_ONE(ep, data, bits) expect_one_(__FILE__, __LINE__, ep, data, bits)
/* Events with this data report all these bits (and none outside `allowed`) within the bound, in one
 * report or in several: for changes in steps, like the end of a TCP connection. */
void expect_bits_(const char *file, int line, int ep, uint64_t data, uint32_t bits);
#define EXPECT_BITS(ep, data, bits) expect_bits_(__FILE__, __LINE__, ep, data, bits)
/* Nothing is reported, now and for a while. */
void expect_none_(const char *file, int line, int ep, int timeout_ms);
#define EXPECT_NONE(ep) expect_none_(__FILE__, __LINE__, ep, QUIET_MS)
#define EXPECT_NONE_NOW(ep) expect_none_(__FILE__, __LINE__, ep, 0)

/* --- threads ---------------------------------------------------------------------------------- */

struct thread {
    pthread_t id;
    _Atomic pid_t tid;
    void *(*run)(void *);
    void *arg;
};
void start_thread(struct thread *thread, void *(*run)(void *), void *arg);
void *join_thread(struct thread *thread); /* within the bound */

/* Waits until the thread sleeps in a system call that waits for descriptors, or in a read, and
 * stays asleep. */
void wait_until_blocked(pid_t tid);
bool wait_until_blocked_or_gone(pid_t tid); /* true if it is blocked */

/* A thread in one wait. */
enum call { WAIT, PWAIT, PWAIT2 };
struct waiter {
    struct thread thread;
    enum call call;
    int ep, max, timeout_ms;
    const sigset_t *mask;
    atomic_bool done;
    int result, error;
    struct epoll_event at[64];
};
int wait_by(enum call call, int ep, struct epoll_event *at, int max, int timeout_ms, const sigset_t *mask);
void start_waiter(struct waiter *waiter, int ep); /* infinite wait; returns once it is blocked */
void start_waiter_by(struct waiter *waiter, enum call call, int ep, int timeout_ms, const sigset_t *mask);
bool start_waiter_or_not(struct waiter *waiter, int ep); /* true if blocked, false if it returned */
int join_waiter(struct waiter *waiter); /* returns its result, within the bound */

/* --- time, processes, bytes ------------------------------------------------------------------- */

int64_t now_ns(void);
int64_t cpu_ns(void); /* of the whole process */
void pause_ms(int ms);
/* Repeats a cheap check until it holds; fails after the bound. */
#define UNTIL(cond)                                                                                                    \
    do {                                                                                                               \
        int64_t until_ = now_ns() + BOUND_MS * 1000000ll;                                                              \
        while (!(cond)) {                                                                                              \
            if (now_ns() > until_)                                                                                     \
                die(__FILE__, __LINE__, "%s does not come true", #cond);                                               \
            pause_ms(1);                                                                                               \
        }                                                                                                              \
    } while (0)

/* Whether an operation that takes less than `ms` did so in one of several attempts; in each it may
 * have been delayed by a busy processor. The test calls it after each attempt until it returns
 * true; it fails after the last attempt. */
bool took_less_(const char *file, int line, int attempt, int64_t since_ns, int ms);
#define TOOK_LESS(attempt, since_ns, ms) took_less_(__FILE__, __LINE__, attempt, since_ns, ms)

void expect_exit_0(pid_t child);
long resident_kb(void);
int open_descriptors(void);
void raise_descriptor_limit(void);

void set_nonblocking(int fd);
void write_bytes(int fd, size_t n); /* all of them, or the test fails */
size_t read_all(int fd);            /* until EAGAIN or end of file; nonblocking descriptors only */
size_t fill(int fd);                /* until EAGAIN */
void expect_eof_at_once(int fd);    /* a read returns end of file within 200 ms */

void make_pipe(int fd[2]); /* both ends nonblocking */
void make_pair(int type, int fd[2]);
void make_tcp(int fd[2]);
int tcp_listener(void);
/* After a shutdown for writing. The peer acknowledges it in its own time, and that is an edge. */
bool end_is_acknowledged(int tcp);
struct sockaddr_in;
int udp_socket(struct sockaddr_in *address); /* nonblocking; returns its port of 127.0.0.1 */
void make_udp(int fd[2]);                    /* connected to each other */
int tcp_client_of(int listener); /* blocking connect, nonblocking afterwards */
void add_one(int eventfd);

#endif

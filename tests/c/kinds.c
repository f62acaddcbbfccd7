/* The specimens of kinds.h. */
#include "kinds.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/inotify.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <termios.h>

#define ARRIVAL 8 /* bytes of one arrival */

static void take_bytes(struct specimen *s, bool all)
{
    char buffer[4096];
    CHECK_EQ(read(s->fd, buffer, all ? sizeof buffer : 1), all ? ARRIVAL : 1);
}
static void take_message(struct specimen *s, bool all)
{
    char buffer[4096];
    (void)all;
    CHECK_EQ(read(s->fd, buffer, sizeof buffer), ARRIVAL);
}
static void feed_bytes(struct specimen *s) { CHECK_EQ(write(s->feeder, "arrival", ARRIVAL), ARRIVAL); }
static void drain_bytes(struct specimen *s) { read_all(s->fd); }

static void make_dir(struct specimen *s)
{
    strcpy(s->dir, "/tmp/epolyfill-XXXXXX");
    CHECK(mkdtemp(s->dir) != NULL);
}

/* --- pipes and sockets ------------------------------------------------------------------------ */

static void take_ends(struct specimen *s, int fd[2])
{
    s->fd = fd[0];
    s->feeder = fd[1];
}
static void make_pipe_kind(struct specimen *s)
{
    int fd[2];
    make_pipe(fd);
    take_ends(s, fd);
}
static void make_fifo(struct specimen *s)
{
    char path[64];
    make_dir(s);
    snprintf(path, sizeof path, "%s/fifo", s->dir);
    OK(mkfifo(path, 0600));
    s->fd = OK(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    s->feeder = OK(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    OK(unlink(path));
}
static void make_unix(struct specimen *s, int type)
{
    int fd[2];
    make_pair(type, fd);
    take_ends(s, fd);
}
static void make_unix_stream(struct specimen *s) { make_unix(s, SOCK_STREAM); }
static void make_unix_dgram(struct specimen *s) { make_unix(s, SOCK_DGRAM); }
static void make_unix_seqpacket(struct specimen *s) { make_unix(s, SOCK_SEQPACKET); }
static void make_tcp_kind(struct specimen *s)
{
    int fd[2];
    make_tcp(fd);
    take_ends(s, fd);
}
static void make_udp_kind(struct specimen *s)
{
    int fd[2];
    make_udp(fd);
    take_ends(s, fd);
}

/* --- listeners -------------------------------------------------------------------------------- */

static void hold(struct specimen *s, int fd)
{
    CHECK(s->nheld < 64);
    s->held[s->nheld++] = fd;
}
static void make_tcp_listener(struct specimen *s) { s->fd = tcp_listener(); }
static void feed_tcp_listener(struct specimen *s) { hold(s, tcp_client_of(s->fd)); }
static void make_unix_listener(struct specimen *s)
{
    /* bind() with only an address family is an autobind: the socket gets a unique abstract name. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    s->fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    OK(bind(s->fd, (struct sockaddr *)&address, sizeof(sa_family_t)));
    OK(listen(s->fd, 64));
}
static void feed_unix_listener(struct specimen *s)
{
    struct sockaddr_un address;
    socklen_t size = sizeof address;
    OK(getsockname(s->fd, (struct sockaddr *)&address, &size));
    int fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    OK(connect(fd, (struct sockaddr *)&address, size));
    hold(s, fd);
}
static void take_connection(struct specimen *s, bool all)
{
    (void)all;
    hold(s, OK(accept(s->fd, NULL, NULL)));
}
static void drain_connections(struct specimen *s)
{
    int fd;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        hold(s, fd);
    CHECK_EQ(errno, EAGAIN);
}

/* --- counters, timers, signals, files --------------------------------------------------------- */

static void take_u64(struct specimen *s, bool all)
{
    uint64_t value;
    (void)all;
    CHECK_EQ(read(s->fd, &value, sizeof value), 8);
}
static void drain_u64(struct specimen *s)
{
    uint64_t value;
    while (read(s->fd, &value, sizeof value) == 8)
        ;
    CHECK_EQ(errno, EAGAIN);
}
static void make_eventfd(struct specimen *s) { s->fd = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }
static void make_semaphore(struct specimen *s) { s->fd = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE)); }
static void feed_eventfd(struct specimen *s) { add_one(s->fd); }
static void make_timerfd(struct specimen *s)
{
    s->fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}
static void feed_timerfd(struct specimen *s)
{
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    OK(timerfd_settime(s->fd, 0, &soon, NULL));
}

/* The count of pending real-time signals exists only per user, for all its processes
 * (docs/differences.md). So only one test at a time has such a signalfd, and where possible it runs
 * as a user of its own: the timers of other tests send signals too. */
static int signalfds, signals_lock = -1;
static void begin_signals(void)
{
    if (signalfds++ > 0)
        return;
    char path[64];
    snprintf(path, sizeof path, "/tmp/epolyfill-tests-%d.lock", (int)getuid());
    int fd = OK(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    /* A high number, for tests that rely on the lowest free number. */
    signals_lock = OK(fcntl(fd, F_DUPFD_CLOEXEC, 900));
    OK(close(fd));
    OK(flock(signals_lock, LOCK_EX));
    if (getuid() == 0)
        OK(setresuid(100000 + getpid(), -1, -1));
}
static void end_signals(void)
{
    if (--signalfds == 0)
        OK(close(signals_lock));
}

static void make_signalfd(struct specimen *s)
{
    begin_signals();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    PT(pthread_sigmask(SIG_BLOCK, &set, NULL));
    s->fd = OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}
static void feed_signalfd(struct specimen *s) { OK(sigqueue(s->owner, SIGRTMIN + 3, (union sigval){0})); }
static void take_signal(struct specimen *s, bool all)
{
    struct signalfd_siginfo info;
    (void)all;
    CHECK_EQ(read(s->fd, &info, sizeof info), sizeof info);
}
static void make_inotify(struct specimen *s)
{
    make_dir(s);
    s->fd = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    OK(inotify_add_watch(s->fd, s->dir, IN_CREATE));
}
static void feed_inotify(struct specimen *s)
{
    /* A new name each time: inotify merges equal consecutive events. */
    char path[64];
    snprintf(path, sizeof path, "%s/%04d", s->dir, s->serial++);
    OK(close(OK(creat(path, 0600))));
    OK(unlink(path));
}
static void take_inotify(struct specimen *s, bool all)
{
    char buffer[4096];
    ssize_t one = sizeof(struct inotify_event) + 16;
    CHECK_EQ(read(s->fd, buffer, all ? (ssize_t)sizeof buffer : one), one);
}

/* --- terminals, instances --------------------------------------------------------------------- */

static void make_pty(int fd[2])
{
    struct termios raw;
    OK(openpty(&fd[0], &fd[1], NULL, NULL, NULL));
    OK(tcgetattr(fd[1], &raw));
    cfmakeraw(&raw);
    OK(tcsetattr(fd[1], TCSANOW, &raw));
    for (int i = 0; i < 2; i++) {
        set_nonblocking(fd[i]);
        OK(fcntl(fd[i], F_SETFD, FD_CLOEXEC));
    }
}
static void make_pty_master(struct specimen *s)
{
    int fd[2];
    make_pty(fd);
    take_ends(s, fd);
}
static void make_pty_slave(struct specimen *s)
{
    int fd[2];
    make_pty(fd);
    take_ends(s, (int[2]){fd[1], fd[0]});
}
static void make_instance(struct specimen *s)
{
    int fd[2];
    make_pipe(fd);
    s->fd = new_epoll();
    s->extra = fd[0];
    s->feeder = fd[1];
    ADD(s->fd, s->extra, EPOLLIN, 0);
}
static void take_instance(struct specimen *s, bool all)
{
    char buffer[4096];
    CHECK_EQ(read(s->extra, buffer, all ? sizeof buffer : 1), all ? ARRIVAL : 1);
}
static void drain_instance(struct specimen *s) { read_all(s->extra); }

const struct kind kinds[] = {
    {"pipe", PARTS | BYTES, make_pipe_kind, feed_bytes, take_bytes, drain_bytes},
    {"fifo", PARTS | BYTES, make_fifo, feed_bytes, take_bytes, drain_bytes},
    {"unix stream", PARTS | BYTES | WRITES, make_unix_stream, feed_bytes, take_bytes, drain_bytes},
    {"unix seqpacket", PARTS | WRITES, make_unix_seqpacket, feed_bytes, take_message, drain_bytes},
    {"unix dgram", PARTS | WRITES | OPAQUE, make_unix_dgram, feed_bytes, take_message, drain_bytes},
    {"tcp", PARTS | BYTES | WRITES, make_tcp_kind, feed_bytes, take_bytes, drain_bytes},
    {"udp", PARTS | WRITES | OPAQUE, make_udp_kind, feed_bytes, take_message, drain_bytes},
    {"tcp listener", PARTS, make_tcp_listener, feed_tcp_listener, take_connection, drain_connections},
    {"unix listener", PARTS | OPAQUE, make_unix_listener, feed_unix_listener, take_connection, drain_connections},
    {"eventfd", 0, make_eventfd, feed_eventfd, take_u64, drain_u64},
    {"eventfd semaphore", PARTS, make_semaphore, feed_eventfd, take_u64, drain_u64},
    {"timerfd", 0, make_timerfd, feed_timerfd, take_u64, drain_u64},
    {"signalfd", PARTS | OPAQUE, make_signalfd, feed_signalfd, take_signal, drain_bytes},
    {"inotify", PARTS | OPAQUE, make_inotify, feed_inotify, take_inotify, drain_bytes},
    {"pty master", PARTS | BYTES | WRITES | OPAQUE, make_pty_master, feed_bytes, take_bytes, drain_bytes},
    {"pty slave", PARTS | BYTES | WRITES | OPAQUE, make_pty_slave, feed_bytes, take_bytes, drain_bytes},
    {"epoll", PARTS | BYTES, make_instance, feed_bytes, take_instance, drain_instance},
    {NULL, 0, NULL, NULL, NULL, NULL},
};

const struct kind *kind_named(const char *name)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        if (strcmp(kind->name, name) == 0)
            return kind;
    }
    die(__FILE__, __LINE__, "no kind %s", name);
}

void make(struct specimen *specimen, const struct kind *kind)
{
    *specimen = (struct specimen){.kind = kind, .fd = -1, .feeder = -1, .extra = -1, .owner = getpid()};
    kind->make(specimen);
}

void feed(struct specimen *specimen) { specimen->kind->feed(specimen); }
void take_part(struct specimen *specimen) { specimen->kind->take(specimen, false); }
void take_arrival(struct specimen *specimen) { specimen->kind->take(specimen, true); }
void drain(struct specimen *specimen) { specimen->kind->drain(specimen); }

static void end_signals(void);
void discard(struct specimen *specimen)
{
    if (strcmp(specimen->kind->name, "signalfd") == 0)
        read_all(specimen->fd);
    for (int i = 0; i < specimen->nheld; i++)
        OK(close(specimen->held[i]));
    if (specimen->feeder >= 0)
        OK(close(specimen->feeder));
    if (specimen->extra >= 0)
        OK(close(specimen->extra));
    OK(close(specimen->fd));
    if (strcmp(specimen->kind->name, "signalfd") == 0)
        end_signals();
    if (specimen->dir[0])
        OK(rmdir(specimen->dir));
}

void expect_arrival_to_wake(struct specimen *s, int ep, void (*arrive)(struct specimen *))
{
    struct waiter waiter;
    bool slept = start_waiter_or_not(&waiter, ep);
    CHECK(slept || s->kind->traits & OPAQUE);
    arrive(s);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].events, EPOLLIN);
    if (!slept)
        EXPECT_ONE(ep, waiter.at[0].data.u64, EPOLLIN);
}

void unread_stays_silent(const char *kind_name)
{
    struct specimen s;
    make(&s, kind_named(kind_name));
    int ep = new_epoll(), busy = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);
    ADD(ep, busy, EPOLLIN, 2);
    for (int i = 0; i < 3; i++) {
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);

        /* Not even when another item becomes ready, and a wait costs no processor time. */
        add_one(busy);
        EXPECT_ONE(ep, 2, EPOLLIN);
        uint64_t value;
        CHECK_EQ(read(busy, &value, sizeof value), 8);
        int64_t least = INT64_MAX;
        for (int try = 0; try < 4 && least >= 30000000; try++) { /* CPU time is coarse under load */
            int64_t before = cpu_ns();
            CHECK_EQ(wait_events(ep, 100).n, 0);
            int64_t used = cpu_ns() - before;
            least = used < least ? used : least;
        }
        CHECK(least < 30000000);
    }
    OK(close(busy));
    OK(close(ep));
    discard(&s);
}

void partial_take_is_no_edge(const char *kind_name)
{
    struct specimen s;
    make(&s, kind_named(kind_name));
    int ep = new_epoll();
    ADD(ep, s.fd, EPOLLIN | EPOLLET, 1);

    /* Two arrivals, each reported. */
    for (int i = 0; i < 2; i++) {
        feed(&s);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }

    /* One of them is taken: the level stays high, and nothing new has arrived. */
    take_part(&s);
    EXPECT_NONE(ep);

    /* The item still reports. */
    feed(&s);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(close(ep));
    discard(&s);
}

/* A process that watched a descriptor has been waited for. Nothing of the descriptor is left: its
 * port, its name and its lock are free, and its other end sees it closed, whether the process
 * watched few or many, and whether it exited or was killed (D4). */
#include "harness.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/un.h>

enum { ROUNDS = 3, MANY = 700 };

static struct sockaddr_in address;
static struct sockaddr_un name = {.sun_family = AF_UNIX};
static socklen_t name_size;
static char fifo[64], slave[64];
static int other_end; /* in the parent */
static int both[2];

/* Set-up before the child exists, set-up in the child, and a check after its end. */
struct subject {
    const char *name;
    bool among_many; /* or only among few */
    void (*prepare)(void);
    int (*make)(void);
    void (*check)(void);
};

static int bound_socket(int type)
{
    int one = 1, fd = OK(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (type == SOCK_STREAM)
        OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    OK(bind(fd, (struct sockaddr *)&address, sizeof address));
    return fd;
}

static void choose_address(int type)
{
    socklen_t size = sizeof address;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = bound_socket(type);
    OK(getsockname(fd, (struct sockaddr *)&address, &size));
    OK(close(fd));
}

static void choose_tcp(void)
{
    choose_address(SOCK_STREAM);
}

static int listen_tcp(void)
{
    int fd = bound_socket(SOCK_STREAM);
    OK(listen(fd, 5));
    return fd;
}

static void check_tcp(void)
{
    OK(close(listen_tcp()));
}

static void choose_udp(void)
{
    choose_address(SOCK_DGRAM);
}

static int bind_udp(void)
{
    return bound_socket(SOCK_DGRAM);
}

static void check_udp(void)
{
    OK(close(bind_udp()));
}

static void choose_name(void)
{
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "epolyfill-end-%d", getpid());
    name_size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
}

static int listen_unix(void)
{
    int fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    OK(bind(fd, (struct sockaddr *)&name, name_size));
    OK(listen(fd, 5));
    return fd;
}

static void check_unix(void)
{
    int fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK_ERRNO(connect(fd, (struct sockaddr *)&name, name_size), ECONNREFUSED);
    OK(close(fd));
}

static void make_fifo(void)
{
    snprintf(fifo, sizeof fifo, "/tmp/epolyfill-end-%d", getpid());
    OK(mkfifo(fifo, 0600));
}

static int lock_fifo(void)
{
    int fd = OK(open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC));
    OK(flock(fd, LOCK_EX | LOCK_NB));
    return fd;
}

static void check_fifo(void)
{
    OK(close(lock_fifo()));
    OK(unlink(fifo));
}

static void make_terminal(void)
{
    other_end = OK(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    OK(grantpt(other_end));
    OK(unlockpt(other_end));
    CHECK_EQ(ptsname_r(other_end, slave, sizeof slave), 0);
}

static int open_slave(void)
{
    return OK(open(slave, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

static void check_terminal(void)
{
    char byte;
    CHECK_ERRNO(read(other_end, &byte, 1), EIO);
    OK(close(other_end));
}

static void make_both_pipe(void)
{
    make_pipe(both);
}

static void make_both_pair(void)
{
    make_pair(SOCK_STREAM, both);
}

static int keep_second(void)
{
    OK(close(both[0]));
    return both[1];
}

static void check_first(void)
{
    char byte;
    CHECK_EQ(read(both[0], &byte, 1), 0);
    OK(close(both[0]));
}

static const struct subject subjects[] = {
    {"tcp listener", true, choose_tcp, listen_tcp, check_tcp},
    {"udp", true, choose_udp, bind_udp, check_udp},
    {"unix listener", true, choose_name, listen_unix, check_unix},
    {"locked fifo", true, make_fifo, lock_fifo, check_fifo},
    {"terminal", true, make_terminal, open_slave, check_terminal},
    {"pipe", false, make_both_pipe, keep_second, check_first},
    {"unix pair", false, make_both_pair, keep_second, check_first},
    {NULL, false, NULL, NULL, NULL},
};

/* Watches, waits, signals that by `ready`, and exits or is killed. */
_Noreturn static void watch_and_end(const struct subject *kind, int others, int ready, bool is_killed)
{
    struct epoll_event events[4];
    OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
    int ep = new_epoll(), fd = kind->make();
    ADD(ep, fd, others % 2 ? EPOLLIN | EPOLLET : EPOLLIN, 1);
    for (int i = 0; i < others; i++)
        ADD(ep, OK(eventfd(0, EFD_CLOEXEC)), EPOLLIN, 2);
    OK(epoll_wait(ep, events, 4, 1));
    OK(epoll_wait(ep, events, 4, 0));
    write_bytes(ready, 1);
    while (is_killed)
        OK(epoll_wait(ep, events, 4, -1));
    _exit(0);
}

static void run(const struct subject *kind, int others, bool is_killed)
{
    int ready[2], status;
    char byte;
    OK(pipe2(ready, O_CLOEXEC));
    kind->prepare();
    pid_t child = OK(fork());
    if (child == 0)
        watch_and_end(kind, others, ready[1], is_killed);
    OK(close(ready[1]));
    if (kind->make == keep_second)
        OK(close(both[1]));
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    OK(close(ready[0]));
    if (is_killed)
        OK(kill(child, SIGKILL));
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, is_killed ? SIGKILL : 0);
    kind->check();
}

void test(void)
{
    for (const struct subject *kind = subjects; kind->name != NULL && (subject = kind->name); kind++)
        for (int round = 0; round < ROUNDS; round++)
            for (int is_killed = 0; is_killed < 2; is_killed++) {
                run(kind, round, is_killed);
                if (kind->among_many)
                    run(kind, MANY + round, is_killed);
            }
}

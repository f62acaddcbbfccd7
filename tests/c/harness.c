/* main() of every test, and the helpers of harness.h. */
#include "harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>

char **test_argv;
const char *subject = "";
static const char *way;
static bool is_interrupted; /* under --chaos with the kind eintr */

bool on_the_kernel(void) { return strcmp(way, "kernel") == 0 || strcmp(way, "observed") == 0; }
bool with_a_ring(void) { return strcmp(way, "uring") == 0; }

/* Whether the library is in the process. A program that is linked statically cannot look for its
 * functions. */
static bool is_ours(void)
{
#ifdef LINKED_STATICALLY
    char line[4096];
    bool is_here = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        is_here |= strstr(line, "/libepolyfill") != NULL;
    fclose(maps);
    return is_here;
#else
    return dlsym(RTLD_DEFAULT, "epolyfill_version") != NULL;
#endif
}

int main(int argc, char **argv)
{
    (void)argc;
    test_argv = argv;
    way = getenv("EPOLYFILL_TEST_WAY");
    bool ours = is_ours();
    if (way == NULL)
        way = ours ? "by hand" : "kernel";
    if (ours == (strcmp(way, "kernel") == 0))
        die(__FILE__, __LINE__, "the way is %s, but the library is %s", way, ours ? "here" : "not here");
    const char *chaos = getenv("EPOLYFILL_CHAOS");
    is_interrupted = chaos != NULL && strstr(chaos, "eintr") != NULL;
    signal(SIGPIPE, SIG_IGN);
    test();
    return 0;
}

void die(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%s:%d: %s%s%s\n", file, line, subject, *subject ? ": " : "", text);
    fflush(stderr);
    _exit(1);
}

/* --- control and wait ------------------------------------------------------------------------- */

int new_epoll(void) { return OK(epoll_create1(EPOLL_CLOEXEC)); }

int ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &event);
}

/* Whether a wait that has returned this was interrupted by chaos, and is to go on. */
static bool goes_on(int result) { return result == -1 && errno == EINTR && is_interrupted; }

struct events wait_events_(const char *file, int line, int ep, int max, int timeout_ms)
{
    struct events events;
    do
        events.n = epoll_wait(ep, events.at, max, timeout_ms);
    while (goes_on(events.n));
    if (events.n < 0 || events.n > max)
        die(file, line, "epoll_wait is %d with %s", events.n, strerrorname_np(errno));
    return events;
}

static int by_data(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

void sort_by_data(struct events *events) { qsort(events->at, events->n, sizeof events->at[0], by_data); }

void expect_one_(const char *file, int line, int ep, uint64_t data, uint32_t bits)
{
    struct events got = wait_events_(file, line, ep, 256, BOUND_MS);
    if (got.n != 1)
        die(file, line, "%d events, not 1 (data %#lx, events %#x)", got.n, (long)data, bits);
    if (got.at[0].data.u64 != data || got.at[0].events != bits)
        die(file, line, "event %#x of %#lx, not %#x of %#lx", got.at[0].events, (long)got.at[0].data.u64, bits,
            (long)data);
}

void expect_bits_(const char *file, int line, int ep, uint64_t data, uint32_t bits)
{
    uint32_t seen = 0;
    while (seen != bits) {
        struct events got = wait_events_(file, line, ep, 256, BOUND_MS);
        if (got.n != 1 || got.at[0].data.u64 != data)
            die(file, line, "%d events, not 1, after %#x of %#x", got.n, seen, bits);
        seen |= got.at[0].events;
        if (seen & ~bits)
            die(file, line, "events %#x, more than %#x", seen, bits);
    }
}

void expect_none_(const char *file, int line, int ep, int timeout_ms)
{
    struct events got = wait_events_(file, line, ep, 256, timeout_ms);
    if (got.n != 0)
        die(file, line, "%d events, not 0; the first is %#x of %#lx", got.n, got.at[0].events,
            (long)got.at[0].data.u64);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
    struct thread *thread = arg;
    atomic_store(&thread->tid, gettid());
    return thread->run(thread->arg);
}

void start_thread(struct thread *thread, void *(*run)(void *), void *arg)
{
    thread->run = run;
    thread->arg = arg;
    atomic_store(&thread->tid, 0);
    PT(pthread_create(&thread->id, NULL, thread_main, thread));
    UNTIL(atomic_load(&thread->tid) != 0);
}

void *join_thread(struct thread *thread)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += BOUND_MS / 1000;
    void *result;
    int error = pthread_timedjoin_np(thread->id, &result, &until);
    if (error != 0)
        die(__FILE__, __LINE__, "a thread does not end (%s)", strerrorname_np(error));
    return result;
}

static size_t read_proc(pid_t tid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? n : 0;
}

/* The calls that wait for descriptors, and reads. The numbers in /proc are the kernel's: under
 * qemu-user, not the program's. */
static const long waits[] = {
#ifdef EMULATED_ON_X86_64
    232 /* epoll_wait */, 281 /* epoll_pwait */, 441 /* epoll_pwait2 */, 7 /* poll */, 271 /* ppoll */,
    23 /* select */, 270 /* pselect6 */, 426 /* io_uring_enter */, 0 /* read */, 45 /* recvfrom */,
#else
    SYS_epoll_pwait, SYS_epoll_pwait2, SYS_ppoll, SYS_pselect6, SYS_io_uring_enter, SYS_read, SYS_recvfrom,
#ifdef SYS_epoll_wait
    SYS_epoll_wait, SYS_poll, SYS_select,
#endif
#endif
};

static bool is_wait(long number)
{
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        if (waits[i] == number)
            return true;
    return false;
}

/* The number of times the thread went to sleep, if it now sleeps in a wait for descriptors or in a
 * read; else -1. */
static long sleeping(pid_t tid)
{
    char text[4096];
    if (!read_proc(tid, "syscall", text, sizeof text) || text[0] == 'r' || !is_wait(atol(text)))
        return -1;
    if (!read_proc(tid, "status", text, sizeof text) || !strstr(text, "\nState:\tS"))
        return -1;
    const char *switches = strstr(text, "\nvoluntary_ctxt_switches:");
    return switches ? atol(switches + 25) : -1;
}

static bool is_blocked(pid_t tid)
{
    long first = sleeping(tid);
    for (int i = 0; i < 3; i++) {
        pause_ms(1);
        if (first < 0 || sleeping(tid) != first)
            return false;
    }
    return true;
}

static bool is_gone(pid_t tid)
{
    char text[64];
    return read_proc(tid, "comm", text, sizeof text) == 0;
}

bool wait_until_blocked_or_gone(pid_t tid)
{
    UNTIL(is_blocked(tid) || is_gone(tid));
    return !is_gone(tid);
}

void wait_until_blocked(pid_t tid)
{
    if (!wait_until_blocked_or_gone(tid))
        die(__FILE__, __LINE__, "a thread that should sleep in a wait has returned");
}

static int wait_once(enum call call, int ep, struct epoll_event *at, int max, int timeout_ms, const sigset_t *mask)
{
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};
    switch (call) {
    case WAIT:
        return epoll_wait(ep, at, max, timeout_ms);
    case PWAIT:
        return epoll_pwait(ep, at, max, timeout_ms, mask);
    default:
        return epoll_pwait2(ep, at, max, timeout_ms < 0 ? NULL : &timeout, mask);
    }
}

int wait_by(enum call call, int ep, struct epoll_event *at, int max, int timeout_ms, const sigset_t *mask)
{
    int result;
    do
        result = wait_once(call, ep, at, max, timeout_ms, mask);
    while (goes_on(result));
    return result;
}

static void *waiter_main(void *arg)
{
    struct waiter *w = arg;
    errno = 0;
    w->result = wait_by(w->call, w->ep, w->at, w->max, w->timeout_ms, w->mask);
    w->error = errno;
    atomic_store(&w->done, true);
    return NULL;
}

static void launch(struct waiter *waiter, enum call call, int ep, int timeout_ms, const sigset_t *mask)
{
    waiter->call = call;
    waiter->ep = ep;
    waiter->max = 64;
    waiter->timeout_ms = timeout_ms;
    waiter->mask = mask;
    atomic_store(&waiter->done, false);
    start_thread(&waiter->thread, waiter_main, waiter);
}

void start_waiter_by(struct waiter *waiter, enum call call, int ep, int timeout_ms, const sigset_t *mask)
{
    launch(waiter, call, ep, timeout_ms, mask);
    if (wait_until_blocked_or_gone(waiter->thread.tid))
        return;
    int result = join_waiter(waiter);
    die(__FILE__, __LINE__, "a thread that should sleep in a wait has returned %d (errno %d), events 0x%x", result, errno,
        result > 0 ? waiter->at[0].events : 0);
}

bool start_waiter_or_not(struct waiter *waiter, int ep)
{
    launch(waiter, WAIT, ep, -1, NULL);
    UNTIL(atomic_load(&waiter->done) || is_blocked(waiter->thread.tid));
    return !atomic_load(&waiter->done);
}

void start_waiter(struct waiter *waiter, int ep) { start_waiter_by(waiter, WAIT, ep, -1, NULL); }

int join_waiter(struct waiter *waiter)
{
    join_thread(&waiter->thread);
    errno = waiter->error;
    return waiter->result;
}

/* --- time, processes, bytes ------------------------------------------------------------------- */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
int64_t cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000l};
    while (nanosleep(&t, &t) == -1 && errno == EINTR)
        ;
}

bool took_less_(const char *file, int line, int attempt, int64_t since_ns, int ms)
{
    const int attempts = 10;
    int64_t took = now_ns() - since_ns;
    if (took >= ms * 1000000ll && attempt + 1 >= attempts)
        die(file, line, "it took %lld us, and no attempt of %d less than %d ms", (long long)took / 1000, attempts, ms);
    return took < ms * 1000000ll;
}

void expect_exit_0(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) == -1)
        CHECK_EQ(errno, EINTR);
    CHECK_EQ(status, 0);
}

long resident_kb(void)
{
    char text[4096];
    CHECK(read_proc(getpid(), "status", text, sizeof text) > 0);
    const char *line = strstr(text, "\nVmRSS:");
    CHECK(line != NULL);
    return atol(line + 7);
}

int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    int n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

void raise_descriptor_limit(void)
{
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
}

void set_nonblocking(int fd) { OK(fcntl(fd, F_SETFL, OK(fcntl(fd, F_GETFL)) | O_NONBLOCK)); }

void write_bytes(int fd, size_t n)
{
    static const char zeros[65536];
    while (n > 0) {
        ssize_t done = OK(write(fd, zeros, n < sizeof zeros ? n : sizeof zeros));
        n -= done;
    }
}

size_t read_all(int fd)
{
    char buffer[65536];
    size_t all = 0;
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n == 0)
            return all;
        if (n < 0) {
            CHECK(errno == EAGAIN || errno == EIO /* a pty whose other end is closed */);
            return all;
        }
        all += n;
    }
}

size_t fill(int fd)
{
    static const char zeros[4096];
    size_t all = 0;
    for (;;) {
        ssize_t n = write(fd, zeros, sizeof zeros);
        if (n < 0) {
            CHECK_EQ(errno, EAGAIN);
            return all;
        }
        all += n;
    }
}

void expect_eof_at_once(int fd)
{
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(OK(poll(&p, 1, 200)), 1);
    CHECK_EQ(read(fd, &byte, 1), 0);
}

void make_pipe(int fd[2]) { OK(pipe2(fd, O_NONBLOCK | O_CLOEXEC)); }

void make_pair(int type, int fd[2]) { OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd)); }

bool end_is_acknowledged(int tcp)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    OK(getsockopt(tcp, IPPROTO_TCP, TCP_INFO, &info, &size));
    return info.tcpi_state != TCP_FIN_WAIT1;
}

int tcp_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    OK(bind(fd, (struct sockaddr *)&address, sizeof address));
    OK(listen(fd, 64));
    return fd;
}

int tcp_client_of(int listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    OK(getsockname(listener, (struct sockaddr *)&address, &size));
    int fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    OK(connect(fd, (struct sockaddr *)&address, size));
    set_nonblocking(fd);
    return fd;
}

void make_tcp(int fd[2])
{
    int listener = tcp_listener();
    fd[1] = tcp_client_of(listener);
    UNTIL((fd[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1);
    OK(close(listener));
}

int udp_socket(struct sockaddr_in *address)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof *address;
    int fd = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    OK(bind(fd, (struct sockaddr *)address, size));
    OK(getsockname(fd, (struct sockaddr *)address, &size));
    return fd;
}

void make_udp(int fd[2])
{
    struct sockaddr_in address[2];
    for (int i = 0; i < 2; i++)
        fd[i] = udp_socket(&address[i]);
    for (int i = 0; i < 2; i++)
        OK(connect(fd[i], (struct sockaddr *)&address[1 - i], sizeof address[0]));
}

void add_one(int eventfd)
{
    uint64_t one = 1;
    CHECK_EQ(write(eventfd, &one, sizeof one), 8);
}

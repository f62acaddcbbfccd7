/*
 * A web server with a coroutine for each connection, linked with epolyfill or run on it.
 *
 * Each connection has a stack of its own and is written as if it were alone: read_some() and
 * write_all() look like blocking calls. When the kernel returns EAGAIN they go to sleep, which is a
 * swapcontext() to the loop; the loop resumes a connection when its edge is reported. So there are
 * no callbacks, and all state is on the stacks. A descriptor is registered once, for both
 * directions (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET), and never modified.
 *
 *   cargo build --release
 *   ln -sf libepolyfill.so target/release/libepolyfill.so.0
 *   gcc -O2 examples/http.c -o http -Ltarget/release -Wl,--no-as-needed -lepolyfill -Wl,-rpath,"$PWD/target/release"
 *   ./http 8080            serves 127.0.0.1:8080 until it is interrupted, and then prints what it did
 *   ./http 8080 1000       with 1000 more coroutines, each waiting for a pipe that stays silent
 *   wrk -c 100 -d 2 http://127.0.0.1:8080/
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK = 32768, GUARD = 4096, REQUEST = 8192 };

struct coroutine {
    ucontext_t context;
    char *stack;
    void (*run)(int fd);
    int fd;
    bool done;
    struct coroutine *next; /* in the list of free coroutines */
};

static int instance;
static ucontext_t loop;
static struct coroutine *running, *unused;
static size_t accepted, closed, requests, idle_ends;

static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

/* --- coroutines ------------------------------------------------------------------------------- */

static void begin(void)
{
    running->run(running->fd);
    running->done = true;
    swapcontext(&running->context, &loop);
}

static void resume(struct coroutine *coroutine)
{
    running = coroutine;
    swapcontext(&loop, &coroutine->context);
    running = NULL;
    if (coroutine->done) {
        coroutine->next = unused;
        unused = coroutine;
    }
}

/* Suspends the coroutine until its descriptor has an edge. */
static void wait_for_edge(void)
{
    swapcontext(&running->context, &loop);
}

/* Starts a coroutine that owns a descriptor. */
static void start(int fd, void (*run)(int fd))
{
    struct coroutine *coroutine = unused;
    if (coroutine) {
        unused = coroutine->next;
    } else {
        coroutine = calloc(1, sizeof *coroutine);
        char *pages = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (!coroutine || pages == MAP_FAILED)
            must(-1, "a coroutine");
        must(mprotect(pages, GUARD, PROT_NONE), "mprotect");
        coroutine->stack = pages + GUARD;
    }
    coroutine->run = run;
    coroutine->fd = fd;
    coroutine->done = false;
    getcontext(&coroutine->context);
    coroutine->context.uc_stack.ss_sp = coroutine->stack;
    coroutine->context.uc_stack.ss_size = STACK;
    coroutine->context.uc_link = NULL;
    makecontext(&coroutine->context, begin, 0);

    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = coroutine};
    must(epoll_ctl(instance, EPOLL_CTL_ADD, fd, &event), "EPOLL_CTL_ADD");
}

/* --- calls that look blocking ------------------------------------------------------------- */

static ssize_t read_some(int fd, void *buffer, size_t size)
{
    ssize_t n;
    while ((n = read(fd, buffer, size)) < 0 && (errno == EAGAIN || errno == EINTR))
        if (errno == EAGAIN)
            wait_for_edge();
    return n;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n >= 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            wait_for_edge();
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static int accept_one(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
        if (errno == EAGAIN)
            wait_for_edge();
        else if (errno != EINTR && errno != ECONNABORTED)
            must(-1, "accept4");
    }
    return fd;
}

/* --- the server ------------------------------------------------------------------------------- */

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n";

/* Serves requests without a body, several on a connection, pipelined or not. */
static void serve(int fd)
{
    char request[REQUEST];
    size_t have = 0;
    ssize_t n;
    bool open = true;
    while (open && have < sizeof request && (n = read_some(fd, request + have, sizeof request - have)) > 0) {
        have += (size_t)n;
        char *end, *from = request;
        while (open && (end = memmem(from, have, "\r\n\r\n", 4))) {
            size_t length = (size_t)(end + 4 - from);
            open = write_all(fd, answer, sizeof answer - 1);
            requests += open;
            from += length;
            have -= length;
        }
        memmove(request, from, have);
    }
    closed++;
    close(fd);
}

static void serve_all(int listener)
{
    for (;;) {
        int fd = accept_one(listener), yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        accepted++;
        start(fd, serve);
    }
}

/* A coroutine that only waits. */
static void idle(int pipe)
{
    char byte;
    read_some(pipe, &byte, 1);
    idle_ends++;
    close(pipe);
}

static void until_interrupted(int signals)
{
    struct signalfd_siginfo info;
    read_some(signals, &info, sizeof info);
}

static int listen_on(int port)
{
    int yes = 1, fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    must(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
    must(listen(fd, 1024), "listen");
    must(getsockname(fd, (struct sockaddr *)&address, &length), "getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static int signals_as_descriptor(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd");
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s PORT [IDLE]\n", argv[0]);
        return 2;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    instance = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    int waiting = argc > 2 ? atoi(argv[2]) : 0;
    for (int i = 0; i < waiting; i++) {
        int ends[2];
        must(pipe2(ends, O_NONBLOCK | O_CLOEXEC), "pipe2");
        start(ends[0], idle);
    }
    start(signals_as_descriptor(), until_interrupted);
    start(listen_on(atoi(argv[1])), serve_all);

    /* On SIGINT the loop also resumes the connections that have already closed, whose edges may
     * come after the signal's. */
    bool stopped = false;
    int n = 0;
    while (!stopped || (n > 0 && closed < accepted)) {
        struct epoll_event events[64];
        n = epoll_wait(instance, events, 64, stopped ? 1000 : -1);
        for (int i = 0; i < n; i++) {
            struct coroutine *coroutine = events[i].data.ptr;
            resume(coroutine);
            stopped |= coroutine->run == until_interrupted && coroutine->done;
        }
    }
    printf("accepted %zu, closed %zu, requests %zu, idle that ended %zu\n", accepted, closed, requests, idle_ends);
    return 0;
}

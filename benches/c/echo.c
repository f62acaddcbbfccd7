/*
 * An echo server over TCP on 127.0.0.1: prints its port, serves until SIGTERM, prints what it did.
 *
 * It runs one thread on one instance (or poll); or several threads that share one instance,
 * one-shot; or several threads with an instance each and the same listening socket, EPOLLEXCLUSIVE,
 * where a connection stays with the thread that accepted it.
 */
#include "loop.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { MOST_THREADS = 64, MOST_EVENTS = 32768, ROOM = 16384, LISTENER = 0, STOP = 1 };

static long threads = 1, most = 128, send_buffer = 0;
static const char *with = "epoll", *mode = "level", *instances = "one";
static const struct option options[] = {
    {"with", TEXT, &with, "epoll or poll"},
    {"mode", TEXT, &mode, "level, edge or oneshot"},
    {"threads", NUMBER, &threads, "threads"},
    {"instances", TEXT, &instances, "one for all threads (--mode oneshot), or each its own"},
    {"max", NUMBER, &most, "room for events in a wait"},
    {"send-buffer", NUMBER, &send_buffer, "SO_SNDBUF of the connections, 0 for the system's choice"},
    {NULL, 0, NULL, NULL}};

struct connection {
    int fd;
    uint32_t mask;
    char *kept; /* bytes read but not yet written, from `from` to `to` */
    size_t from, to;
};

struct worker {
    struct loop *loop;
    unsigned long accepted, closed, bytes, waits, reports, refused;
    char buffer[ROOM];
} __attribute__((aligned(256)));

static struct worker workers[MOST_THREADS];
static int listener, stop[2];
static atomic_bool stopping;

static void on_sigterm(int signal)
{
    (void)signal;
    stopping = true;
    if (write(stop[1], "s", 1) < 0)
        _exit(1);
}

/* Returns the mask for what the connection now waits for. */
static uint32_t wanted(const struct connection *c)
{
    if (mode[0] == 'e')
        return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    return (c->kept ? EPOLLOUT : EPOLLIN) | (mode[0] == 'o' ? EPOLLONESHOT : 0);
}

static void accept_all(struct worker *w)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = memory(1, sizeof *c);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        c->mask = wanted(c);
        loop_add(w->loop, fd, c->mask, (uint64_t)(uintptr_t)c);
        w->accepted++;
        if (instances[0] == 'e')
            break; /* leaves the other connections their share */
    }
    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
        die("accept4: %s", strerror(errno));
}

/* Sends as much as there is room for; returns -1 when the connection is over. */
static ssize_t give(struct worker *w, struct connection *c, const char *bytes, size_t length)
{
    ssize_t n = send(c->fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return -1;
    n = n < 0 ? 0 : n;
    w->refused += (size_t)n < length;
    w->bytes += (size_t)n;
    return n;
}

/* Returns false when the connection is over. */
static bool echo(struct worker *w, struct connection *c)
{
    for (;;) {
        if (c->kept) {
            ssize_t sent = give(w, c, c->kept + c->from, c->to - c->from);
            if (sent < 0)
                return false;
            c->from += (size_t)sent;
            if (c->from < c->to)
                return true;
            free(c->kept);
            c->kept = NULL;
        }
        ssize_t n = recv(c->fd, w->buffer, ROOM, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        ssize_t sent = give(w, c, w->buffer, (size_t)n);
        if (sent < 0)
            return false;
        if (sent < n) {
            c->from = 0;
            c->to = (size_t)(n - sent);
            c->kept = memory(1, c->to);
            memcpy(c->kept, w->buffer + sent, c->to);
            return true;
        }
        /* Level-triggered: data that arrives meanwhile is reported again. */
        if (mode[0] != 'e' && n < ROOM)
            return true;
    }
}

static void *serve(void *mine)
{
    struct worker *w = mine;
    struct epoll_event *events = memory(MOST_EVENTS, sizeof *events);
    while (!stopping) {
        int n = loop_wait(w->loop, events, w->loop->epoll < 0 ? MOST_EVENTS : (int)most, -1);
        w->waits++;
        w->reports += n > 0 ? (unsigned long)n : 0;
        for (int i = 0; i < n; i++) {
            uint64_t data = events[i].data.u64;
            struct connection *c = (struct connection *)(uintptr_t)data;
            if (data == STOP)
                break;
            if (data == LISTENER) {
                accept_all(w);
            } else if (!echo(w, c)) {
                loop_forget(w->loop, c->fd);
                close(c->fd);
                free(c->kept);
                free(c);
                w->closed++;
            } else if (mode[0] == 'o' || wanted(c) != c->mask) {
                c->mask = wanted(c);
                loop_mod(w->loop, c->fd, c->mask, data);
            }
        }
    }
    free(events);
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"level", "edge", "oneshot", NULL}, *const ways[] = {"one", "each", NULL};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    pthread_t thread[MOST_THREADS];
    parse(argc, argv, options);
    bool each = one_of("instances", instances, ways) == 1;
    one_of("mode", mode, modes);
    if (threads < 1 || threads > MOST_THREADS || most < 1 || most > MOST_EVENTS)
        die("--threads must be between 1 and %d, and --max between 1 and %d", MOST_THREADS, MOST_EVENTS);
    if ((threads > 1 && !each && mode[0] != 'o') || (strcmp(with, "poll") == 0 && (mode[0] != 'l' || threads > 1)))
        die("threads on one instance take --mode oneshot, and poll takes one thread and --mode level");
    raise_limit(1024);
    listener = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    int room = (int)send_buffer;
    if (room > 0)
        must(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), "SO_SNDBUF");
    must(bind(listener, (struct sockaddr *)&address, length), "bind");
    must(listen(listener, SOMAXCONN), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    must(pipe2(stop, O_CLOEXEC | O_NONBLOCK), "pipe2");
    struct sigaction action = {.sa_handler = on_sigterm};
    must(sigaction(SIGTERM, &action, NULL), "sigaction");
    for (long i = 0; i < threads; i++) {
        if (i == 0 || each) {
            workers[i].loop = new_loop(with);
            loop_add(workers[i].loop, listener, EPOLLIN | (each ? EPOLLEXCLUSIVE : 0), LISTENER);
            loop_add(workers[i].loop, stop[0], EPOLLIN, STOP);
        } else {
            workers[i].loop = workers[0].loop;
        }
    }
    for (long i = 1; i < threads; i++)
        if (pthread_create(&thread[i], NULL, serve, &workers[i]) != 0)
            die("pthread_create: no thread");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    serve(&workers[0]);
    struct worker sum = {0};
    unsigned long least = ~0ul;
    for (long i = 0; i < threads; i++) {
        if (i > 0)
            pthread_join(thread[i], NULL);
        sum.accepted += workers[i].accepted;
        sum.closed += workers[i].closed;
        sum.bytes += workers[i].bytes;
        sum.waits += workers[i].waits;
        sum.reports += workers[i].reports;
        sum.refused += workers[i].refused;
        if (workers[i].accepted < least)
            least = workers[i].accepted;
    }
    printf("echo epoll=%s accepted=%lu closed=%lu bytes=%lu waits=%lu reports=%lu refused=%lu least_accepted=%lu\n", whose(workers[0].loop),
           sum.accepted, sum.closed, sum.bytes, sum.waits, sum.reports, sum.refused, least);
    return 0;
}

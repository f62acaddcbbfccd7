/*
 * Loads a server on 127.0.0.1 over TCP and checks every answer; a process of its own, on the
 * kernel's epoll.
 *
 * Each active connection sends a request, waits for the whole answer, and sends the next. --churn
 * opens a connection for each request and closes it afterwards. --mix imitates clients of all
 * sorts, for soak tests: small, large and halved requests, connections that end in the middle, at
 * full speed, slowly, and not at all.
 *
 * When all connections are open it prints "ready" and waits for a line on standard input, so that
 * the caller can look at the server; it prints "measuring" when the warm-up is over.
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { LARGEST = 262144, CHUNK = 65536, SHORT_MS = 20, MOST_HELD = 120 };

static long port = 0, idle = 0, active = 10, size = 64, seed = 1, bound = 10, rate = 2000, requests_wanted = 0, warm_up_requests = 0;
static double seconds = 1, warm_up = 0.2;
static const char *send_text, *expect_text;
static bool churn, mix;
static const struct option options[] = {
    {"port", NUMBER, &port, "of the server"},
    {"idle", NUMBER, &idle, "connections that send nothing"},
    {"active", NUMBER, &active, "connections with a request under way"},
    {"size", NUMBER, &size, "bytes of a request that is echoed"},
    {"send", TEXT, &send_text, "the request, if the server is no echo server; \\r and \\n as in C"},
    {"expect", TEXT, &expect_text, "the answer to it"},
    {"churn", SWITCH, &churn, "a connection for each request"},
    {"mix", SWITCH, &mix, "requests of many sorts, over all --idle connections"},
    {"rate", NUMBER, &rate, "of --mix: requests per second in its slow phases"},
    {"seconds", REAL, &seconds, "how long to measure"},
    {"requests", NUMBER, &requests_wanted, "stop after so many requests, 0 for --seconds"},
    {"warm-up", REAL, &warm_up, "seconds before that"},
    {"warm-up-requests", NUMBER, &warm_up_requests, "and at least so many requests"},
    {"bound", NUMBER, &bound, "seconds that an answer may take"},
    {"seed", NUMBER, &seed, "of the contents, and of --mix"},
    {NULL, 0, NULL, NULL}};

/* What happens to a connection after its request. */
enum after { KEEP, CLOSE, HALF_CLOSE, ABORT };

struct client {
    int fd;
    uint32_t mask;
    enum after after;
    bool busy, connecting, shut;
    size_t length, sent, got, offset; /* the request: `length` bytes of the pattern from `offset` */
    size_t stop_at;                   /* a halved request pauses here */
    uint64_t started, resume;
    uint64_t held; /* the last time at which TCP was seen to hold up the answer */
};

static int epoll;
static struct client *clients;
static size_t *resting, resting_count; /* --mix: connections without a request */
static struct client **halved;         /* --mix: paused requests; some may be over */
static size_t halved_count;
static char *pattern, *request, *answer;
static size_t request_length, answer_length;
static uint64_t state, all, requests, bytes, connects, held, largest_ns;
static bool measuring;

/* --- latencies: 32 classes for each power of two ---------------------------------------------- */

enum { FINE = 32 };
static uint64_t histogram[64 * FINE];

static void record(uint64_t ns)
{
    int high = 63 - __builtin_clzll(ns | 1), shift = high > 5 ? high - 5 : 0;
    histogram[shift * FINE + (int)(ns >> shift)]++;
    largest_ns = ns > largest_ns ? ns : largest_ns;
}

static double percentile(double share)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++)
        if ((seen += histogram[i]) > 0 && (double)seen >= share * (double)requests) {
            size_t shift = i >= 2 * FINE ? i / FINE - 1 : 0;
            return (double)((i - shift * FINE) << shift) / 1000;
        }
    return 0;
}

/* --- connections ------------------------------------------------------------------------------ */

/* Binds to varying loopback addresses, because one address would run out of ports. */
static int new_connection(bool wait)
{
    static unsigned turn;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + turn++ % 200)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* Some clients read answers so slowly that the server's send buffer fills up. */
    int little = 4096, on = 1, fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0), "socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (mix && turn % 3 == 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    must(bind(fd, (struct sockaddr *)&from, sizeof from), "bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect to port %ld: %s", port, strerror(errno));
    if (wait)
        must(fcntl(fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    connects++;
    return fd;
}

/* Called when a connection that did not wait is made, or has failed. */
static void connected(struct client *c)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error)
        die("connect to port %ld: %s", port, strerror(error));
    c->connecting = false;
}

/* A connection that is closed before it is made is counted here, and the server never accepts it. */
static void finish_connecting(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct pollfd made = {.fd = clients[i].fd, .events = POLLOUT};
        if (!clients[i].connecting)
            continue;
        if (poll(&made, 1, (int)bound * 1000) == 0)
            die("connect to port %ld: not made within %ld s", port, bound);
        connected(&clients[i]);
    }
}

static void watch(struct client *c, uint32_t mask, int operation)
{
    struct epoll_event e = {.events = mask, .data.ptr = c};
    c->mask = mask;
    must(epoll_ctl(epoll, operation, c->fd, &e), "epoll_ctl");
}

static void want(struct client *c, uint32_t mask)
{
    if (c->mask != mask)
        watch(c, mask, EPOLL_CTL_MOD);
}

static void push(struct client *c)
{
    while (!c->connecting && c->sent < c->stop_at) {
        size_t part = c->stop_at - c->sent < CHUNK ? c->stop_at - c->sent : CHUNK;
        ssize_t n = send(c->fd, request + c->offset + c->sent, part, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        must((int)n, "send");
        c->sent += (size_t)n;
    }
    if (c->sent == c->length && c->after == HALF_CLOSE && !c->shut) {
        must(shutdown(c->fd, SHUT_WR), "shutdown");
        c->shut = true;
    }
    want(c, EPOLLIN | (c->connecting || c->sent < c->stop_at ? EPOLLOUT : 0));
}

static void begin(struct client *c)
{
    c->busy = true;
    c->shut = false;
    c->sent = c->got = 0;
    c->length = request_length;
    c->offset = 0;
    c->after = churn ? CLOSE : KEEP;
    if (mix) {
        size_t sort = below(&state, 100);
        c->length = sort < 80 ? 1 + below(&state, 1024) : sort < 95 ? 1 + below(&state, 16384) : 1 + below(&state, LARGEST);
        c->offset = below(&state, LARGEST);
        sort = below(&state, 100);
        c->after = sort < 85 ? KEEP : sort < 90 ? CLOSE : sort < 95 ? HALF_CLOSE : ABORT;
    } else if (expect_text == NULL) {
        c->offset = below(&state, 256);
    }
    c->stop_at = c->length;
    c->resume = 0;
    c->started = c->held = now_ns();
    if (mix && below(&state, 100) < 10) {
        c->stop_at = below(&state, c->length);
        c->resume = c->started + below(&state, SHORT_MS) * 1000000;
        halved[halved_count++] = c;
    }
    push(c);
}

static void reconnect(struct client *c, bool wait)
{
    close(c->fd);
    c->fd = new_connection(wait);
    c->connecting = !wait;
    watch(c, EPOLLIN | (wait ? 0 : EPOLLOUT), EPOLL_CTL_ADD);
}

/* Called when the answer is complete, or as much of it as was wanted has arrived. */
static void finish(struct client *c)
{
    all++;
    if (measuring) {
        record(now_ns() - c->started);
        requests++;
        bytes += c->got;
    }
    c->busy = false;
    c->resume = 0;
    if (c->after == ABORT) {
        struct linger reset = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if (c->after != KEEP)
        reconnect(c, mix);
    if (mix)
        resting[resting_count++] = (size_t)(c - clients);
    else
        begin(c);
}

static void pull(struct client *c)
{
    static char got[CHUNK];
    for (;;) {
        ssize_t n = recv(c->fd, got, sizeof got, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        must((int)n, "recv");
        size_t due = c->busy ? expect_text ? answer_length : c->length : 0;
        if (n == 0 && c->busy && c->shut && c->got == due) {
            finish(c);
            return;
        }
        if (n == 0)
            die("the server closed a connection, %zu of %zu bytes of an answer were there", c->got, due);
        if (c->got + (size_t)n > due)
            die("the server sent %zu bytes where %zu were due", c->got + (size_t)n, due);
        if (memcmp(got, (expect_text ? answer : request + c->offset) + c->got, (size_t)n) != 0)
            die("the server sent other bytes than were due");
        c->got += (size_t)n;
        bool enough = c->after == ABORT && mix ? c->got > due / 2 : c->got == due;
        if (enough && c->after != HALF_CLOSE) {
            finish(c);
            return;
        }
        if ((size_t)n < sizeof got && !c->shut)
            return;
    }
}

static char *unescape(const char *text, size_t *length)
{
    char *out = memory(strlen(text) + 1, 1), *to = out;
    for (; *text; text++)
        if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
            *to++ = *++text == 'r' ? '\r' : '\n';
        else
            *to++ = *text;
    *length = (size_t)(to - out);
    return out;
}

/* The bytes that one end of a connection has to send and to read. */
struct queues {
    unsigned to_send, to_read;
};

/* Looks up the end at `from` of the connection to `to`; false if there is none. */
static bool look_up(unsigned from, unsigned to, struct queues *q)
{
    unsigned local, remote;
    bool found = false;
    char line[256];
    FILE *table = fopen("/proc/net/tcp", "re");
    if (table == NULL)
        die("/proc/net/tcp: %s", strerror(errno));
    while (!found && fgets(line, sizeof line, table))
        found = sscanf(line, "%*d: %*x:%x %*x:%x %*x %x:%x", &local, &remote, &q->to_send, &q->to_read) == 4 && local == from && remote == to;
    fclose(table);
    return found;
}

/*
 * Whether TCP holds up an answer: a client with a small buffer can lose segments or updates of its
 * window, and TCP repeats them after times that double. Otherwise the server does.
 */
static bool is_held_by_tcp(const struct client *c, struct queues *server)
{
    struct sockaddr_in own;
    struct queues client = {0};
    socklen_t length = sizeof own;
    must(getsockname(c->fd, (struct sockaddr *)&own, &length), "getsockname");
    unsigned from = ntohs(own.sin_port), to = (unsigned)port;
    if (!look_up(from, to, &client) || !look_up(to, from, server))
        return false;
    return server->to_send > 0 || (client.to_send > 0 && server->to_read == 0);
}

static bool is_over(uint64_t now, uint64_t since, uint64_t limit)
{
    return now > since && now - since > limit * 1000000000u;
}

/* An answer may take `bound` seconds, not counted while TCP holds it up, and MOST_HELD in all. */
static void check_bounds(uint64_t now, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct client *c = &clients[i];
        struct queues server = {0};
        if (!c->busy || !is_over(now, c->held, (uint64_t)bound))
            continue;
        if (!is_held_by_tcp(c, &server) || is_over(now, c->started, MOST_HELD))
            die("a request of %zu bytes (%zu sent, %zu answered) was not answered within %ld s; in the server's socket are %u bytes to send and %u to read",
                c->length, c->sent, c->got, (long)((now - c->started) / 1000000000u), server.to_send, server.to_read);
        held += c->held == c->started;
        c->held = now;
    }
}

/* --mix: two seconds at full speed, two at the rate, half a second of silence. */
static void mingle(uint64_t now, uint64_t start, size_t count)
{
    static double budget;
    static uint64_t last;
    size_t left = 0;
    for (size_t i = 0; i < halved_count; i++) {
        struct client *c = halved[i];
        if (c->resume && now < c->resume) {
            halved[left++] = c;
        } else if (c->resume) {
            c->resume = 0;
            c->stop_at = c->length;
            push(c);
        }
    }
    halved_count = left;
    uint64_t at = (now - start) % 4500000000u;
    bool slow = at >= 2000000000u;
    budget = slow ? at < 4000000000u ? budget + (double)(now - last) * (double)rate / 1e9 : 0 : (double)active;
    last = now;
    while (budget >= 1 && resting_count > 0 && count - resting_count < (size_t)active) {
        size_t which = below(&state, resting_count), client = resting[which];
        resting[which] = resting[--resting_count];
        begin(&clients[client]);
        budget -= 1;
    }
    budget = budget > (double)active ? (double)active : budget;
}

int main(int argc, char **argv)
{
    static struct epoll_event events[256];
    parse(argc, argv, options);
    if (port < 1 || port > 65535 || (active < 1 && !mix) || size < 1 || size > LARGEST || (mix && idle < active))
        die("--port, --active and --size (at most %d) must be given, and --mix has at least as many --idle as --active", LARGEST);
    if (!send_text != !expect_text || (mix && (churn || send_text)))
        die("--send goes with --expect, and neither with --mix");
    size_t count = (size_t)(mix ? idle : active);
    raise_limit((size_t)(idle + active));
    state = (uint64_t)seed;
    pattern = memory(2 * LARGEST + 256, 1);
    for (size_t i = 0; i < 2 * LARGEST + 256; i++)
        pattern[i] = (char)noise(&state);
    request = pattern;
    request_length = (size_t)size;
    if (send_text) {
        request = unescape(send_text, &request_length);
        answer = unescape(expect_text, &answer_length);
    }
    epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    clients = memory(count, sizeof *clients);
    resting = memory(count, sizeof *resting);
    halved = memory(4 * (size_t)active, sizeof(struct client *));
    if (!mix)
        for (long i = 0; i < idle; i++)
            new_connection(true);
    for (size_t i = 0; i < count; i++) {
        clients[i].fd = new_connection(true);
        watch(&clients[i], EPOLLIN, EPOLL_CTL_ADD);
        resting[resting_count++] = i;
    }
    printf("ready\n");
    fflush(stdout);
    char line[16];
    if (read(0, line, sizeof line) <= 0)
        die("nobody said when to start");

    uint64_t start = now_ns(), from = 0, cpu_from = 0, checked = start;
    if (!mix) {
        resting_count = 0;
        for (size_t i = 0; i < count; i++)
            begin(&clients[i]);
    }
    for (;;) {
        uint64_t now = now_ns();
        if (!measuring && (double)(now - start) >= warm_up * 1e9 && all >= (uint64_t)warm_up_requests) {
            measuring = true;
            printf("measuring\n");
            fflush(stdout);
            from = now = now_ns();
            cpu_from = cpu_ns();
        }
        if (measuring && (requests_wanted ? requests >= (uint64_t)requests_wanted : (double)(now - from) >= seconds * 1e9))
            break;
        if (now - checked > 100000000u) {
            check_bounds(now, count);
            checked = now;
        }
        if (mix)
            mingle(now, start, count);
        int n = epoll_wait(epoll, events, 256, mix ? 1 : 100);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            int fd = c->fd;
            if (c->connecting && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
                connected(c);
            if (events[i].events & EPOLLOUT && c->busy)
                push(c);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP) && c->fd == fd)
                pull(c);
        }
    }
    uint64_t took = now_ns() - from;
    finish_connecting(count);
    if (requests == 0)
        die("no request was answered in %g s", seconds);
    printf("load requests=%lu all=%lu bytes=%lu connects=%lu held=%lu seconds=%.3f ns=%.1f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f generator=%.2f\n", requests,
           all, bytes, connects, held, (double)took / 1e9, (double)took / (double)requests, percentile(0.5), percentile(0.99), percentile(0.999),
           (double)largest_ns / 1000, (double)(cpu_ns() - cpu_from) / (double)took);
    fflush(stdout);
    /* Lets the caller look at the server before its connections close. */
    if (read(0, line, sizeof line) < 0)
        return 1;
    return 0;
}

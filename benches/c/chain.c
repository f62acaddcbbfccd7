/*
 * The shape of libevent's own benchmark, through libevent: socket pairs, some of which are written
 * to at once; every read triggers a write to another pair, until all writes are used up. libevent
 * registers, waits and calls back.
 */
#include "common.h"
#include <event2/event.h>
#include <sys/socket.h>

enum { ENOUGH_ROUNDS = 5 };

static long pairs = 100, active = 10, writes = 1000, seed = 1, warm_up = 600;
static double seconds = 0.2, warm_up_seconds = 0.1;
static const char *with = "epoll";
static bool edge, register_again;
static const struct option options[] = {
    {"pairs", NUMBER, &pairs, "socket pairs"},
    {"active", NUMBER, &active, "pairs that are written to at the start of a round"},
    {"writes", NUMBER, &writes, "writes that reads set off in a round"},
    {"edge", SWITCH, &edge, "edge-triggered"},
    {"register", SWITCH, &register_again, "take all events out and in again before each round, as the classic does"},
    {"with", TEXT, &with, "epoll or poll"},
    {"seconds", REAL, &seconds, "how long to measure"},
    {"warm-up", NUMBER, &warm_up, "waits before that, about"},
    {"warm-up-seconds", REAL, &warm_up_seconds, "of --register: at most so long, after five rounds"},
    {"seed", NUMBER, &seed, "where the active pairs begin"},
    {NULL, 0, NULL, NULL}};

static struct event_base *base;
static struct event **events;
static int (*ends)[2];
static long left, outstanding;
static uint64_t taken;

static void on_read(evutil_socket_t fd, short what, void *argument)
{
    long index = (long)(intptr_t)argument;
    char bytes[16];
    (void)what;
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    must((int)n, "recv");
    for (ssize_t i = 0; i < n; i++) {
        taken++;
        outstanding--;
        if (left > 0) {
            long to = (index + active + 1) % pairs;
            must((int)send(ends[to][1], "e", 1, 0), "send");
            left--;
            outstanding++;
        }
    }
    if (outstanding == 0)
        event_base_loopbreak(base);
}

/* Plays one round; returns its time without the registration. */
static uint64_t play(long round)
{
    if (register_again)
        for (long i = 0; i < pairs; i++) {
            event_del(events[i]);
            event_add(events[i], NULL);
        }
    left = writes;
    outstanding = active;
    uint64_t start = now_ns();
    for (long i = 0; i < active; i++)
        must((int)send(ends[(seed + round + i * pairs / active) % pairs][1], "e", 1, 0), "send");
    if (event_base_dispatch(base) < 0 || outstanding != 0)
        die("a round ended with %ld bytes missing", outstanding);
    return now_ns() - start;
}

/* A wait finds the active events, more or less. What waits teach does not outlast a registration,
 * so that rounds which register anew are soon alike. */
static bool warmed_up(long rounds, uint64_t took)
{
    if (register_again && rounds >= ENOUGH_ROUNDS && (double)took >= warm_up_seconds * 1e9)
        return true;
    return rounds * (writes + active) >= warm_up * active;
}

int main(int argc, char **argv)
{
    static const char *const methods[] = {"epoll", "poll", NULL};
    parse(argc, argv, options);
    int method = one_of("with", with, methods);
    if (pairs < 1 || active < 1 || active > pairs)
        die("--active must be between 1 and --pairs");
    raise_limit(2 * (size_t)pairs);
    struct event_config *config = event_config_new();
    event_config_avoid_method(config, methods[!method]);
    event_config_avoid_method(config, "select");
    base = event_base_new_with_config(config);
    if (base == NULL || strcmp(event_base_get_method(base), with) != 0)
        die("libevent offers no %s", with);
    /* libevent does not expose its descriptor; it is among the first. */
    const char *whose = method == 0 ? "library" : "poll";
    for (int fd = 0; fd < 64 && method == 0; fd++)
        if (strcmp(whose_epoll(fd), "kernel") == 0)
            whose = "kernel";
    ends = memory((size_t)pairs, sizeof *ends);
    events = memory((size_t)pairs, sizeof *events);
    for (long i = 0; i < pairs; i++) {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends[i]), "socketpair");
        events[i] = event_new(base, ends[i][0], (short)(EV_READ | EV_PERSIST | (edge ? EV_ET : 0)), on_read, (void *)(intptr_t)i);
        if (events[i] == NULL || event_add(events[i], NULL) != 0)
            die("event_add failed");
    }
    uint64_t measured = 0, start = now_ns();
    long rounds = 0;
    while (!warmed_up(rounds, now_ns() - start))
        play(rounds++);
    taken = 0;
    start = now_ns();
    uint64_t cpu = cpu_ns();
    long first = rounds;
    do
        measured += play(rounds++);
    while (now_ns() - start < (uint64_t)(seconds * 1e9));
    uint64_t whole = now_ns() - start;
    cpu = cpu_ns() - cpu;
    if (taken != (uint64_t)((rounds - first) * (active + writes)))
        die("%lu bytes were read in %ld rounds of %ld", taken, rounds - first, active + writes);
    printf("chain epoll=%s descriptors=%ld events=%lu ns=%.2f whole_ns=%.2f cpu_ns=%.2f rounds=%ld\n", whose, pairs, taken,
           (double)measured / (double)taken, (double)whole / (double)taken, (double)cpu / (double)taken, rounds - first);
    return 0;
}

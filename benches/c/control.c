/*
 * The cost of control calls, and of waits that report little: nanoseconds per operation beside
 * registered, idle pipes.
 *
 *   add-del    one ADD and one DEL of a pipe
 *   mod        one MOD of a registered pipe; with --wait-every K a wait with timeout 0 after each K
 *   one-ready  a wait that finds one pipe ready among all; also with poll
 *   max-one    a wait with room for one event while --ready pipes are ready: each must get its turn
 */
#include "far.h"
#include "loop.h"

enum { SPARE = 64, CHUNK = 64, MOST_EVENTS = 16384 };

static long descriptors = 100, ready = 16, wait_every = 0, warm_up = 600;
static double seconds = 0.1;
static const char *operation = "mod", *with = "epoll", *kind = "pipe", *mode = "level";
static const struct option options[] = {
    {"op", TEXT, &operation, "add-del, mod, one-ready or max-one"},
    {"descriptors", NUMBER, &descriptors, "registered descriptors"},
    {"ready", NUMBER, &ready, "of max-one: how many are ready"},
    {"wait-every", NUMBER, &wait_every, "of add-del and mod: operations before each wait, 0 for none"},
    {"kind", TEXT, &kind, "pipe or unix"},
    {"mode", TEXT, &mode, "of add-del and mod: level or edge"},
    {"with", TEXT, &with, "epoll or poll"},
    {"seconds", REAL, &seconds, "how long to measure"},
    {"warm-up", NUMBER, &warm_up, "operations before that"},
    {NULL, 0, NULL, NULL}};

static struct loop *loop;
static int *idle, spare[SPARE];
static uint32_t mask = EPOLLIN;
static struct epoll_event events[MOST_EVENTS];
static uint64_t *turns;
static uint64_t reported;

static void wait_for(int wanted, int timeout)
{
    int n = loop_wait(loop, events, loop->epoll < 0 ? MOST_EVENTS : strcmp(operation, "max-one") == 0 ? 1 : 64, timeout);
    if (n != wanted)
        die("a wait reported %d events, not %d", n, wanted);
    if (n == 1)
        turns[events[0].data.u64]++;
    reported += (uint64_t)n;
}

static void operate(int which, uint64_t turn)
{
    struct epoll_event e = {.events = mask, .data.u64 = 0};
    if (which == 0) {
        int fd = spare[turn % SPARE];
        must(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e), "EPOLL_CTL_ADD");
        must(epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, &e), "EPOLL_CTL_DEL");
    } else if (which == 1) {
        /* Two alternating masks, so that each MOD changes something. */
        e.events = mask | ((turn / (uint64_t)descriptors) % 2 ? 0 : EPOLLPRI);
        must(epoll_ctl(loop->epoll, EPOLL_CTL_MOD, idle[turn % (uint64_t)descriptors], &e), "EPOLL_CTL_MOD");
    } else {
        wait_for(1, -1);
    }
    if (wait_every && which < 2 && turn % (uint64_t)wait_every == 0)
        wait_for(0, 0);
}

/* Runs for at least `time`, and at least `least` operations. */
static uint64_t run_for(int which, double time, uint64_t least, uint64_t *operations, uint64_t *cpu)
{
    uint64_t start = now_ns(), cpu_start = cpu_ns(), end = start + (uint64_t)(time * 1e9), now, done = 0;
    do {
        for (int i = 0; i < CHUNK; i++)
            operate(which, done++);
        now = now_ns();
    } while (now < end || done < least);
    *operations = done;
    *cpu = cpu_ns() - cpu_start;
    return now - start;
}

int main(int argc, char **argv)
{
    static const char *const operations[] = {"add-del", "mod", "one-ready", "max-one", NULL}, *const modes[] = {"level", "edge", NULL};
    uint64_t done, cpu, ignored;
    parse(argc, argv, options);
    int which = one_of("op", operation, operations);
    if (one_of("mode", mode, modes) == 1)
        mask |= EPOLLET;
    long lit = which == 2 ? 1 : which == 3 ? ready : 0;
    if (descriptors < 1 || lit > descriptors || (strcmp(with, "poll") == 0 && which != 2))
        die("--descriptors must be at least 1 and at least --ready, and poll does one-ready only");
    raise_limit((size_t)(descriptors + lit) + 2 * SPARE);

    /* The ready pipes are spread among the idle ones. */
    idle = memory((size_t)descriptors, sizeof(int));
    turns = memory((size_t)descriptors, sizeof *turns);
    far_ends(kind, (size_t)(descriptors - lit), idle + lit);
    for (long i = 0; i < lit; i++) {
        int ends[2], at = (int)((2 * i + 1) * descriptors / (2 * lit));
        must(pipe2(ends, O_NONBLOCK | O_CLOEXEC), "pipe2");
        if (write(ends[1], "r", 1) != 1)
            die("write: %s", strerror(errno));
        idle[i] = idle[at < lit ? i : at];
        idle[at < lit ? i : at] = ends[0];
    }
    for (int i = 0; i < SPARE; i++) {
        int ends[2];
        must(pipe2(ends, O_NONBLOCK | O_CLOEXEC), "pipe2");
        spare[i] = ends[0];
    }
    loop = new_loop(with);
    for (long i = 0; i < descriptors; i++)
        loop_add(loop, idle[i], which < 2 ? mask : EPOLLIN, (uint64_t)i);

    run_for(which, 0, (uint64_t)warm_up, &ignored, &cpu);
    memset(turns, 0, (size_t)descriptors * sizeof *turns);
    uint64_t ns = run_for(which, seconds, 0, &done, &cpu);
    uint64_t fewest = UINT64_MAX, highest = 0, lit_seen = 0;
    for (long i = 0; i < descriptors; i++)
        if (turns[i]) {
            lit_seen++;
            fewest = turns[i] < fewest ? turns[i] : fewest;
            highest = turns[i] > highest ? turns[i] : highest;
        }
    if (which >= 2 && (lit_seen != (uint64_t)lit || (which == 3 && highest - fewest > 2)))
        die("of %ld ready pipes %lu were reported, between %lu and %lu times", lit, lit_seen, fewest, highest);
    printf("control epoll=%s descriptors=%ld operations=%lu ns=%.2f cpu_ns=%.2f\n", whose(loop), descriptors, done, (double)ns / (double)done,
           (double)cpu / (double)done);
    return 0;
}

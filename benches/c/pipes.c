/*
 * The pipe test that epoll was presented with in 2002: tokens of one byte travel through pipes,
 * beside idle ones; or through connected sockets.
 *
 * The thread that reads a token writes it into another pipe, the next one (ring) or any (random).
 * It takes one token per report; from an edge-triggered pipe it takes all, until EAGAIN; a one-shot
 * pipe is then re-armed with a MOD. With several threads, all wait on one instance, one-shot. At
 * the end the tokens are collected and counted: none may be missing, and none duplicated.
 */
#include "far.h"
#include "loop.h"
#include <pthread.h>
#include <stdatomic.h>

enum { MOST_THREADS = 64, MOST_EVENTS = 16384 };
enum { WARM_UP, MEASURED, COLLECTING };

static long idle = 0, active = 16, tokens = 4, most = 64, threads = 1, seed = 1, events_wanted = 0, warm_up = 600;
static double seconds = 0.2;
static const char *kind = "pipe", *order = "random", *mode = "level", *with = "epoll";
static const struct option options[] = {
    {"idle", NUMBER, &idle, "pipes that nothing is ever written to"},
    {"active", NUMBER, &active, "pipes that tokens travel through"},
    {"tokens", NUMBER, &tokens, "tokens"},
    {"kind", TEXT, &kind, "pipe, unix (stream sockets) or tcp, instead of pipes"},
    {"order", TEXT, &order, "ring or random"},
    {"mode", TEXT, &mode, "level, edge or oneshot"},
    {"with", TEXT, &with, "epoll or poll"},
    {"max", NUMBER, &most, "room for events in a wait"},
    {"threads", NUMBER, &threads, "threads on one instance; more than one takes --mode oneshot"},
    {"seconds", REAL, &seconds, "how long to measure"},
    {"warm-up", NUMBER, &warm_up, "waits of the first thread before that"},
    {"events", NUMBER, &events_wanted, "stop after so many tokens were moved, 0 for --seconds"},
    {"seed", NUMBER, &seed, "of the random order"},
    {NULL, 0, NULL, NULL}};

static struct loop *loop;
static int *reading, *writing;
static bool random_order;
static uint32_t mask;
static atomic_int phase;
static atomic_long collected;
static uint64_t started, finished, cpu_started, cpu_finished;

/* The counters of one thread, on cache lines of their own. */
struct counts {
    atomic_ulong moved, reports, waits, empty, mods;
    uint64_t state, at_start[5], at_end[5];
    int index;
} __attribute__((aligned(256)));
static struct counts all[MOST_THREADS];

static void add(atomic_ulong *counter, unsigned long n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void snapshot(bool end)
{
    for (long i = 0; i < threads; i++) {
        uint64_t *to = end ? all[i].at_end : all[i].at_start;
        to[0] = all[i].moved, to[1] = all[i].reports, to[2] = all[i].waits, to[3] = all[i].empty, to[4] = all[i].mods;
    }
    *(end ? &finished : &started) = now_ns();
    *(end ? &cpu_finished : &cpu_started) = cpu_ns();
}

/* The first thread checks the clock, but not in every wait. */
static void look_at_clock(struct counts *c)
{
    static uint64_t until;
    uint64_t now = now_ns();
    bool over = phase == WARM_UP                    ? c->waits >= (unsigned long)warm_up
                : phase == MEASURED && events_wanted ? c->moved - c->at_start[0] >= (unsigned long)events_wanted
                                                     : now >= until;
    if (!over)
        return;
    if (phase == WARM_UP) {
        snapshot(false);
        until = now_ns() + (uint64_t)(seconds * 1e9);
        phase = MEASURED;
    } else if (phase == MEASURED) {
        snapshot(true);
        until = now_ns() + 5000000000u;
        phase = COLLECTING;
    } else {
        die("%ld of %ld tokens were found at the end: an event was lost", (long)collected, tokens);
    }
}

/* Takes what is in pipe `i` and passes it on. */
static void handle(struct counts *c, size_t i)
{
    char bytes[4096];
    ssize_t n = 0, part;
    /* The reads of an edge-triggered pipe end with EAGAIN. */
    while ((part = read(reading[i], bytes + n, mode[0] == 'e' ? sizeof bytes - (size_t)n : 1)) > 0) {
        n += part;
        if (mode[0] != 'e')
            break;
    }
    if (part == 0 || (part < 0 && errno != EAGAIN))
        die("a pipe cannot be read: %s", part == 0 ? "it has ended, or holds more than was sent" : strerror(errno));
    if (n == 0)
        add(&c->empty, 1);
    for (ssize_t j = 0; j < n; j++) {
        if (phase == COLLECTING) {
            collected++;
            continue;
        }
        size_t to = random_order ? below(&c->state, (size_t)active) : i + 1 == (size_t)active ? 0 : i + 1;
        if (write(writing[to], bytes + j, 1) != 1)
            die("write: %s", strerror(errno));
        add(&c->moved, 1);
    }
    if (mode[0] == 'o') {
        loop_mod(loop, reading[i], mask, i);
        add(&c->mods, 1);
    }
}

static void *work(void *mine)
{
    struct counts *c = mine;
    struct epoll_event *events = memory(MOST_EVENTS, sizeof *events);
    int room = loop->epoll < 0 ? MOST_EVENTS : (int)most;
    for (unsigned turn = 0; collected < tokens; turn++) {
        if (c->index == 0 && (turn % 32 == 0 || phase == COLLECTING))
            look_at_clock(c);
        /* With several threads, one may be asleep when the last token is collected. */
        int n = loop_wait(loop, events, room, threads > 1 || phase == COLLECTING ? 50 : 5000);
        if (n == 0 && threads == 1 && phase != COLLECTING)
            die("nothing for 5 s while %ld tokens were under way: an event was lost", tokens);
        add(&c->waits, 1);
        add(&c->reports, n > 0 ? (unsigned long)n : 0);
        for (int i = 0; i < n; i++)
            handle(c, events[i].data.u64);
    }
    free(events);
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const orders[] = {"ring", "random", NULL}, *const modes[] = {"level", "edge", "oneshot", NULL};
    static const uint32_t masks[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
    pthread_t thread[MOST_THREADS];
    parse(argc, argv, options);
    random_order = one_of("order", order, orders) == 1;
    mask = masks[one_of("mode", mode, modes)];
    if (active < 1 || tokens < 1 || threads < 1 || threads > MOST_THREADS || most < 1 || most > MOST_EVENTS)
        die("--active, --tokens, --max and --threads (at most %d) must be at least 1", MOST_THREADS);
    if ((threads > 1 && mode[0] != 'o') || (strcmp(with, "poll") == 0 && mode[0] != 'l'))
        die("several threads take --mode oneshot, and poll takes --mode level");
    raise_limit((size_t)idle + 2 * (size_t)active);

    int *sleeping = memory((size_t)idle, sizeof(int));
    far_ends(kind, (size_t)idle, sleeping);
    reading = memory((size_t)active, sizeof(int));
    writing = memory((size_t)active, sizeof(int));
    loop = new_loop(with);
    for (long i = 0; i < active; i++) {
        int ends[2];
        new_ends(kind, ends);
        reading[i] = ends[0];
        writing[i] = ends[1];
    }
    /* Mixes idle and active pipes, as in a program that has run for a while. */
    for (long i = 0, j = 0; i < active || j < idle;)
        if (j >= idle || (i < active && i * idle <= j * active)) {
            loop_add(loop, reading[i], mask, (uint64_t)i);
            i++;
        } else {
            loop_add(loop, sleeping[j], mask, UINT64_MAX);
            j++;
        }
    uint64_t state = (uint64_t)seed;
    for (long i = 0; i < tokens; i++)
        if (write(writing[random_order ? below(&state, (size_t)active) : (size_t)(i * active / tokens) % (size_t)active], "t", 1) != 1)
            die("write: %s", strerror(errno));
    for (long i = 0; i < threads; i++) {
        all[i].index = (int)i;
        all[i].state = (uint64_t)(seed * 1000 + i);
        if (i > 0 && pthread_create(&thread[i], NULL, work, &all[i]) != 0)
            die("pthread_create: no thread");
    }
    work(&all[0]);
    for (long i = 1; i < threads; i++)
        pthread_join(thread[i], NULL);
    char byte;
    for (long i = 0; i < active; i++)
        collected += read(reading[i], &byte, 1) == 1;
    if (collected != tokens)
        die("%ld tokens were found at the end, and %ld were sent, one twice", (long)collected, tokens);
    uint64_t sum[5] = {0};
    for (long i = 0; i < threads; i++)
        for (int k = 0; k < 5; k++)
            sum[k] += all[i].at_end[k] - all[i].at_start[k];
    double events = sum[0] ? (double)sum[0] : 1;
    printf("pipes epoll=%s descriptors=%ld events=%lu ns=%.2f cpu_ns=%.2f reports=%.4f waits=%.4f empty=%.4f mods=%.4f collected=%ld\n",
           whose(loop), idle + active, sum[0], (double)(finished - started) / events, (double)(cpu_finished - cpu_started) / events,
           (double)sum[1] / events, (double)sum[2] / events, (double)sum[3] / events, (double)sum[4] / events, (long)collected);
    return 0;
}

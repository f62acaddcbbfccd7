/* How the counters show that an event loop misbehaves, in three ways, beside a healthy one.
 *
 *   cargo build --release
 *   ln -sf libepolyfill.so target/release/libepolyfill.so.0
 *   gcc -Iinclude examples/stats.c -o stats -Ltarget/release -lepolyfill -pthread -Wl,-rpath,"$PWD/target/release" && ./stats
 *
 * Each loop runs for a fifth of a second, in which a message of ten bytes arrives through a pipe
 * every two milliseconds. Then the program reads the counters of its instance, and diagnoses the
 * loop from them alone. */
#define _GNU_SOURCE 1
#include <epolyfill.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MESSAGES = 100, BYTES = 10 };

enum loop {
    WELL,      /* edge-triggered, read until EAGAIN */
    UNDRAINED, /* edge-triggered, but leaves one byte of each message unread */
    WRITABLE,  /* asks for EPOLLOUT with nothing to write */
    IMPATIENT, /* waits with a timeout of 0 instead of sleeping */
};

static int ok(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void add(int ep, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    ok(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void *send_messages(void *argument)
{
    int fd = *(int *)argument;
    for (int i = 0; i < MESSAGES; i++) {
        usleep(2000);
        if (write(fd, "0123456789", BYTES) != BYTES)
            exit(1);
    }
    close(fd);
    return NULL;
}

static struct epolyfill_stats run(enum loop kind)
{
    int in[2], out[2], ep = ok(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    ok(pipe2(in, O_CLOEXEC | O_NONBLOCK), "pipe2");
    ok(pipe2(out, O_CLOEXEC | O_NONBLOCK), "pipe2");
    add(ep, in[0], kind == WELL || kind == UNDRAINED ? EPOLLIN | EPOLLET : EPOLLIN);
    if (kind == WRITABLE)
        add(ep, out[1], EPOLLOUT);
    pthread_t sender;
    if (pthread_create(&sender, NULL, send_messages, &in[1]) != 0)
        exit(1);
    int is_over = 0;
    while (!is_over) {
        struct epoll_event events[8];
        int n = ok(epoll_wait(ep, events, 8, kind == IMPATIENT ? 0 : -1), "epoll_wait");
        for (int i = 0; i < n; i++) {
            char buffer[4096];
            is_over |= (events[i].events & EPOLLHUP) != 0;
            if (events[i].data.fd != in[0])
                continue;
            if (kind == UNDRAINED)
                (void)!read(in[0], buffer, BYTES - 1);
            else
                while (read(in[0], buffer, sizeof buffer) > 0)
                    ;
        }
    }
    struct epolyfill_stats stats;
    ok(epolyfill_stats(ep, &stats, sizeof stats), "epolyfill_stats");
    pthread_join(sender, NULL);
    close(in[0]);
    close(out[0]);
    close(out[1]);
    close(ep);
    return stats;
}

static enum loop diagnosis(const struct epolyfill_stats *stats)
{
    if (stats->timeouts > 10 * stats->sleeps)
        return IMPATIENT;
    if (stats->duplicates > 10 * stats->sleeps)
        return WRITABLE;
    if (stats->edges_count + stats->edges_call > stats->edges_level)
        return UNDRAINED;
    return WELL;
}

int main(void)
{
    static const char *name[] = {[WELL] = "well", [UNDRAINED] = "undrained", [WRITABLE] = "writable", [IMPATIENT] = "impatient"};
    static const char *says[] = {
        [WELL] = "sleeps, is woken by what comes, and deals with all of it",
        [UNDRAINED] = "edges come while older data is unread: it does not read until EAGAIN",
        [WRITABLE] = "what was reported is ready still, and it never sleeps: a level is not dealt with",
        [IMPATIENT] = "asks without sleeping: the timeout is 0",
    };
    int wrong = 0;
    printf("%-10s %8s %8s %8s %8s %10s %11s %11s\n", "loop", "waits", "sleeps", "timeouts", "events", "duplicates", "edges_level", "edges_count");
    for (enum loop kind = WELL; kind <= IMPATIENT; kind++) {
        struct epolyfill_stats stats = run(kind);
        enum loop told = diagnosis(&stats);
        printf("%-10s %8llu %8llu %8llu %8llu %10llu %11llu %11llu\n%-10s %s\n", name[kind], (unsigned long long)stats.waits,
               (unsigned long long)stats.sleeps, (unsigned long long)stats.timeouts, (unsigned long long)stats.events,
               (unsigned long long)stats.duplicates, (unsigned long long)stats.edges_level, (unsigned long long)stats.edges_count, "", says[told]);
        wrong += told != kind;
    }
    if (wrong == 0)
        printf("The counters tell each loop from the others.\n");
    return wrong;
}

/*
 * Shared by the programs of the benchmarks: options, the clock, reproducible noise, one-sentence
 * errors.
 *
 * None of them knows of epolyfill: each is an ordinary program that calls epoll or poll, and prints
 * one line of NAME=VALUE.
 */
#ifndef COMMON_H
#define COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline int must(int result, const char *what)
{
    if (result < 0)
        die("%s: %s", what, strerror(errno));
    return result;
}

static inline void *memory(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (p == NULL)
        die("no memory for %zu times %zu bytes", count, size);
    return p;
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processor time of all threads. */
static inline uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Reproducible noise (splitmix64). */
static inline uint64_t noise(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline size_t below(uint64_t *state, size_t bound)
{
    return (size_t)(((unsigned __int128)noise(state) * bound) >> 64);
}

/* Raises the limit to as many descriptors as the system allows. */
static inline void raise_limit(size_t needed)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    if (limit.rlim_max < needed + 16)
        die("%zu descriptors are needed, and a process may open %zu", needed + 16, (size_t)limit.rlim_max);
}

/* Which epoll a descriptor belongs to, by its link in /proc. Only for the reader of the result. */
static inline const char *whose_epoll(int fd)
{
    char link[64], path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, link, sizeof link - 1);
    link[n < 0 ? 0 : n] = 0;
    return strcmp(link, "anon_inode:[eventpoll]") == 0 ? "kernel" : "library";
}

/* --- options: --name value, or --name alone for a switch -------------------------------------- */

struct option {
    const char *name;
    enum { NUMBER, REAL, TEXT, SWITCH } kind;
    void *value; /* long, double, const char *, bool */
    const char *help;
};

static inline void usage(const struct option *options)
{
    printf("usage: %s [--option value] ...\n", program_invocation_short_name);
    for (const struct option *o = options; o->name; o++) {
        printf("  --%-14s %s", o->name, o->help);
        if (o->kind == NUMBER)
            printf(" (%ld)", *(long *)o->value);
        else if (o->kind == REAL)
            printf(" (%g)", *(double *)o->value);
        else if (o->kind == TEXT && *(const char **)o->value)
            printf(" (%s)", *(const char **)o->value);
        putchar('\n');
    }
    exit(0);
}

static inline void parse(int argc, char **argv, const struct option *options)
{
    for (int i = 1; i < argc; i++) {
        const struct option *o = options;
        if (strcmp(argv[i], "--help") == 0)
            usage(options);
        while (o->name && (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, o->name) != 0))
            o++;
        if (o->name == NULL)
            die("there is no option %s; --help lists them", argv[i]);
        if (o->kind == SWITCH) {
            *(bool *)o->value = true;
            continue;
        }
        if (++i == argc)
            die("--%s needs a value", o->name);
        char *end = argv[i];
        if (o->kind == NUMBER)
            *(long *)o->value = strtol(argv[i], &end, 10);
        else if (o->kind == REAL)
            *(double *)o->value = strtod(argv[i], &end);
        else
            *(const char **)o->value = argv[i], end = "";
        if (end == argv[i] || *end || (o->kind == NUMBER && *(long *)o->value < 0) || (o->kind == REAL && *(double *)o->value < 0))
            die("--%s needs a number, not %s", o->name, argv[i]);
    }
}

/* The index of `word` in a list that ends in NULL. */
static inline int one_of(const char *what, const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    die("--%s cannot be %s", what, word);
}

#endif

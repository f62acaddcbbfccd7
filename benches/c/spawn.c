/* The time from the start of a program to its end: spawn [--preload FILE] [--program FILE]; the
 * median of many. */
#include "common.h"
#include <spawn.h>
#include <sys/wait.h>

static long times = 200;
static const char *preload, *program = "/bin/true";
static const struct option options[] = {
    {"times", NUMBER, &times, "how often"},
    {"preload", TEXT, &preload, "the value of LD_PRELOAD"},
    {"program", TEXT, &program, "what is run"},
    {NULL, 0, NULL, NULL}};

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    char variable[4096];
    parse(argc, argv, options);
    if (times < 1)
        die("--times must be at least 1");
    uint64_t *took = memory((size_t)times, sizeof *took);
    snprintf(variable, sizeof variable, "LD_PRELOAD=%s", preload ? preload : "");
    char *const arguments[] = {(char *)program, NULL}, *const environment[] = {preload ? variable : NULL, NULL};
    for (long i = 0; i < times; i++) {
        pid_t pid;
        int status;
        uint64_t start = now_ns();
        if (posix_spawn(&pid, program, NULL, NULL, arguments, environment) != 0)
            die("%s does not start", program);
        must(waitpid(pid, &status, 0), "waitpid");
        took[i] = now_ns() - start;
        if (status != 0)
            die("%s ended with status %d", program, status);
    }
    qsort(took, (size_t)times, sizeof *took, ascending);
    printf("spawn times=%ld ns=%lu least_ns=%lu\n", times, took[times / 2], took[0]);
    return 0;
}

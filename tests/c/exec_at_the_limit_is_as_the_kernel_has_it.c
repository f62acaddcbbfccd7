/* The largest environment that the kernel accepts is accepted; one byte more is E2BIG, and so are a
 * string above the limit, and more entries than fit. The test finds the limit with system calls
 * that bypass libc. */
#include "bare.h"
#include "execs.h"

#define PIECE 100000 /* a string has 128 KiB at most */

static char *words[] = {"true", NULL};

static long past_libc(const char *path, char **argv, char **environment)
{
    return -bare(SYS_execve, (long)path, (long)argv, (long)environment, 0, 0, 0);
}

static void raw(char **environment) { _exit(past_libc("/bin/true", words, environment)); }
static void by_execve_(char **environment) { execve("/bin/true", words, environment), _exit(errno); }
static void by_execv_(char **environment) { environ = environment, execv("/bin/true", words), _exit(errno); }
static void by_execl_(char **environment) { environ = environment, execl("/bin/true", "true", NULL), _exit(errno); }
static void by_execle_(char **environment) { execle("/bin/true", "true", NULL, environment), _exit(errno); }
static void by_execvpe_(char **environment) { execvpe("/bin/true", words, environment), _exit(errno); }
static void by_number_(char **environment) { syscall(SYS_execve, "/bin/true", words, environment), _exit(errno); }
static void by_spawn_(char **environment)
{
    pid_t child;
    int status, error = posix_spawn(&child, "/bin/true", NULL, NULL, words, environment);
    if (error)
        _exit(error);
    CHECK_EQ(waitpid(child, &status, 0), child);
    end_as(status);
}
static const struct {
    const char *name;
    void (*call)(char **environment);
} ways[] = {{"execve", by_execve_},   {"execv", by_execv_},       {"execl", by_execl_}, {"execle", by_execle_},
            {"execvpe", by_execvpe_}, {"SYS_execve", by_number_}, {"posix_spawn", by_spawn_}};

/* Returns an environment of this many bytes, in one block. */
static char **of_bytes(size_t bytes)
{
    size_t n = bytes / PIECE + 1;
    char **environment = calloc(n + 1, sizeof *environment), *at = malloc(bytes + 1);
    memset(at, 'x', bytes);
    for (size_t i = 0; i < n; i++) {
        size_t length = i < n - 1 ? PIECE : bytes - (n - 1) * PIECE;
        environment[i] = at;
        at += length;
        at[-(length > 0)] = 0;
    }
    if (bytes == (n - 1) * PIECE)
        environment[n - 1] = NULL;
    return environment;
}
static void release(char **environment)
{
    free(environment[0]);
    free(environment);
}

static int answer(void (*call)(char **), char **environment)
{
    int status;
    pid_t child = OK(fork());
    if (child == 0)
        call(environment);
    CHECK_EQ(OK(waitpid(child, &status, 0)), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}
static int answer_to_bytes(void (*call)(char **), size_t bytes)
{
    char **environment = of_bytes(bytes);
    int found = answer(call, environment);
    release(environment);
    return found;
}

static size_t most_bytes(void)
{
    size_t low = PIECE / 2, high = 1 << 20;
    CHECK_EQ(answer_to_bytes(raw, low), 0);
    CHECK_EQ(answer_to_bytes(raw, high), E2BIG);
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (answer_to_bytes(raw, middle))
            high = middle;
        else
            low = middle;
    }
    return low;
}

static void many_entries(void)
{
    /* Each entry takes its two bytes and a pointer. */
    static char entry[] = "A";
    size_t n = 1 << 16;
    char **environment = calloc(n + 1, sizeof *environment);
    for (size_t i = 0; i < n; i++)
        environment[i] = entry;
    CHECK_EQ(answer(raw, environment), E2BIG);
    size_t low = 1, high = n;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        environment[middle] = NULL;
        if (answer(raw, environment))
            high = middle;
        else
            low = middle;
        environment[middle] = entry;
    }
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        subject = ways[i].name;
        CHECK_EQ(answer(ways[i].call, environment), E2BIG);
        for (size_t less = 0; less < 12; less += 3) {
            environment[low - less] = NULL;
            CHECK_EQ(answer(ways[i].call, environment), 0);
            environment[low - less] = entry;
        }
        environment[low + 1] = NULL;
        CHECK_EQ(answer(ways[i].call, environment), E2BIG);
        environment[low + 1] = entry;
    }
    free(environment);
}

void test(void)
{
    /* The kernel accepts a quarter of the stack limit. */
    struct rlimit limit;
    OK(getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = 1 << 20;
    OK(setrlimit(RLIMIT_STACK, &limit));
    size_t most = most_bytes();
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        subject = ways[i].name;
        for (size_t less = 0; less < 400; less += 37)
            CHECK_EQ(answer_to_bytes(ways[i].call, most - less), 0);
        CHECK_EQ(answer_to_bytes(ways[i].call, most + 1), E2BIG);
        /* One string that is too long. */
        char *one = malloc(1 << 18), *environment[] = {"A=1", one, NULL};
        memset(one, 'x', 1 << 18);
        one[(1 << 17) - 1] = 0;
        CHECK_EQ(answer(ways[i].call, environment), 0);
        memcpy(one, "LD_PRELOAD=", 11);
        memset(one + 11, ':', 1 << 17);
        one[(1 << 17) - 1] = 0;
        CHECK_EQ(answer(ways[i].call, environment), 0);
        one[(1 << 17) - 1] = ':';
        one[1 << 17] = 0;
        CHECK_EQ(answer(ways[i].call, environment), E2BIG);
        free(one);
    }
    many_entries();
}

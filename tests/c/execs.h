/* Every call that executes a program, for tests that execute themselves. Each is called in a child,
 * with the arguments and the environment of the program, and does not return: a call that starts
 * another process exits with that process's status. */
#ifndef EXECS_H
#define EXECS_H

#include "harness.h"

#include <dlfcn.h>
#include <spawn.h>

extern char **environ;

/* The path of this program, valid under whatever the test runs in. */
static char self[4096];
__attribute__((constructor)) static void find_self(void) { OK(readlink("/proc/self/exe", self, sizeof self - 1)); }
#define SELF self

static inline bool is_served(void) { return dlsym(RTLD_DEFAULT, "epolyfill_version") != NULL; }
/* Whether LD_PRELOAD loaded the library, which must then be passed on. */
static inline bool is_preloaded(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "libepolyfill");
}

struct exec {
    const char *name;
    void (*call)(char **words, char **environment);
    bool starts_a_process, has_fixed_words, is_a_line;
};

static inline void end_as(int status)
{
    if (status == -1 || !WIFEXITED(status))
        _exit(126);
    _exit(WEXITSTATUS(status));
}

static inline void by_execve(char **words, char **environment) { execve(SELF, words, environment); }
static inline void by_execv(char **words, char **environment)
{
    environ = environment;
    execv(SELF, words);
}
static inline void by_execvp(char **words, char **environment)
{
    environ = environment;
    execvp(SELF, words);
}
static inline void by_execvpe(char **words, char **environment) { execvpe(SELF, words, environment); }
static inline void by_fexecve(char **words, char **environment) { fexecve(OK(open(SELF, O_RDONLY)), words, environment); }
static inline void by_execveat(char **words, char **environment)
{
    execveat(OK(open("/", O_PATH)), SELF + 1, words, environment, 0);
}
static inline void by_execveat_of_a_file(char **words, char **environment)
{
    execveat(OK(open(SELF, O_RDONLY)), "", words, environment, AT_EMPTY_PATH);
}
static inline void by_number(char **words, char **environment) { syscall(SYS_execve, SELF, words, environment); }
static inline void by_number_at(char **words, char **environment)
{
    syscall(SYS_execveat, AT_FDCWD, SELF, words, environment, 0);
}
/* With so many arguments that some are on the stack, and with as many as there are registers. */
static inline void by_execl_5(char **w, char **environment)
{
    environ = environment;
    execl(SELF, w[0], w[1], w[2], w[3], w[4], NULL);
}
static inline void by_execl_6(char **w, char **environment)
{
    environ = environment;
    execl(SELF, w[0], w[1], w[2], w[3], w[4], w[5], NULL);
}
static inline void by_execl_12(char **w, char **environment)
{
    environ = environment;
    execl(SELF, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], NULL);
}
static inline void by_execlp_4(char **w, char **environment)
{
    environ = environment;
    execlp(SELF, w[0], w[1], w[2], w[3], NULL);
}
static inline void by_execlp_12(char **w, char **environment)
{
    environ = environment;
    execlp(SELF, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], NULL);
}
static inline void by_execle_4(char **w, char **environment)
{
    execle(SELF, w[0], w[1], w[2], w[3], NULL, environment);
}
static inline void by_execle_5(char **w, char **environment)
{
    execle(SELF, w[0], w[1], w[2], w[3], w[4], NULL, environment);
}
static inline void by_execle_12(char **w, char **environment)
{
    execle(SELF, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], NULL, environment);
}
static inline void by_posix_spawn(char **words, char **environment)
{
    pid_t child;
    int status = -1;
    PT(posix_spawn(&child, SELF, NULL, NULL, words, environment));
    CHECK_EQ(waitpid(child, &status, 0), child);
    end_as(status);
}
static inline void by_posix_spawnp(char **words, char **environment)
{
    pid_t child;
    int status = -1;
    PT(posix_spawnp(&child, SELF, NULL, NULL, words, environment));
    CHECK_EQ(waitpid(child, &status, 0), child);
    end_as(status);
}
/* Returns a shell command with the words in single quotes. A word must not contain a quote. */
static inline char *line_of(char **words)
{
    char *line;
    size_t length;
    FILE *text = open_memstream(&line, &length);
    fprintf(text, "'%s'", SELF);
    for (int i = 1; words[i]; i++)
        fprintf(text, " '%s'", words[i]);
    fclose(text);
    return line;
}
static inline void by_system(char **words, char **environment)
{
    char *line = line_of(words);
    environ = environment;
    end_as(system(line));
}
static inline void by_popen(char **words, char **environment)
{
    char *line = line_of(words);
    environ = environment;
    FILE *stream = popen(line, "w");
    CHECK(stream);
    end_as(pclose(stream));
}

static const struct exec execs[] = {
    {.name = "execve", .call = by_execve},
    {.name = "execv", .call = by_execv},
    {.name = "execvp", .call = by_execvp},
    {.name = "execvpe", .call = by_execvpe},
    {.name = "fexecve", .call = by_fexecve},
    {.name = "execveat", .call = by_execveat},
    {.name = "execveat of a file", .call = by_execveat_of_a_file},
    {.name = "SYS_execve", .call = by_number},
    {.name = "SYS_execveat", .call = by_number_at},
    {.name = "execl 5", .call = by_execl_5, .has_fixed_words = true},
    {.name = "execl 6", .call = by_execl_6, .has_fixed_words = true},
    {.name = "execl 12", .call = by_execl_12, .has_fixed_words = true},
    {.name = "execlp 4", .call = by_execlp_4, .has_fixed_words = true},
    {.name = "execlp 12", .call = by_execlp_12, .has_fixed_words = true},
    {.name = "execle 4", .call = by_execle_4, .has_fixed_words = true},
    {.name = "execle 5", .call = by_execle_5, .has_fixed_words = true},
    {.name = "execle 12", .call = by_execle_12, .has_fixed_words = true},
    {.name = "posix_spawn", .call = by_posix_spawn, .starts_a_process = true},
    {.name = "posix_spawnp", .call = by_posix_spawnp, .starts_a_process = true},
    {.name = "system", .call = by_system, .starts_a_process = true, .is_a_line = true},
    {.name = "popen", .call = by_popen, .starts_a_process = true, .is_a_line = true},
};
#define EXECS (int)(sizeof execs / sizeof *execs)

#endif

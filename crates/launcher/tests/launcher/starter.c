// Executes the program of its second argument in the way of its first, with the name "words" and
// further words, and without an environment. The number of words is the third argument.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int finish(pid_t child) {
    int status = -1;
    return child < 0 || waitpid(child, &status, 0) != child ? 1 : WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

int main(int argc, char **argv) {
    const char *way = argv[1], *path = argv[2];
    size_t count = argc > 3 ? strtoul(argv[3], 0, 10) : 3;
    char **words = calloc(count + 1, sizeof *words), *none[] = {0};
    pid_t child = -1;
    for (size_t i = 0; i < count; i++)
        words[i] = i == 0 ? "words" : i == count - 1 ? "" : "a b";
    if (strcmp(way, "execve") == 0)
        execve(path, words, none);
    if (strcmp(way, "syscall") == 0)
        syscall(SYS_execve, path, words, none);
    if (strcmp(way, "execvpe") == 0)
        execvpe(path, words, none);
    if (strcmp(way, "execle") == 0)
        execle(path, "words", "a b", "", (char *)0, none);
    if (strcmp(way, "posix_spawn") == 0)
        return posix_spawn(&child, path, 0, 0, words, none) ? 3 : finish(child);
    if (strcmp(way, "posix_spawnp") == 0)
        return posix_spawnp(&child, path, 0, 0, words, none) ? 3 : finish(child);
    if (strcmp(way, "descriptor") == 0) {
        char name[64];
        sprintf(name, "/proc/self/fd/%d", open(path, O_RDONLY | O_CLOEXEC));
        execve(name, words, none);
    }
    if (strcmp(way, "vfork") == 0) {
        child = vfork();
        if (child == 0) {
            execve(path, words, none);
            _exit(4);
        }
        return finish(child);
    }
    // The rest takes the environment of the process.
    clearenv();
    setenv("PATH", strcmp(way, "execvp") == 0 ? argv[4] : "", 1);
    if (strcmp(way, "execv") == 0)
        execv(path, words);
    if (strcmp(way, "execvp") == 0)
        execvp(path, words);
    if (strcmp(way, "execl") == 0)
        execl(path, "words", "a b", "", (char *)0);
    if (strcmp(way, "execlp") == 0)
        execlp(path, "words", "a b", "", (char *)0);
    if (strcmp(way, "no words") == 0)
        execve(path, 0, 0);
    perror(way);
    return 5;
}

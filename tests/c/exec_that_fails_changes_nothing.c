/* A call that cannot execute its program fails with the kernel's errno, leaves the environment
 * unchanged and leaks no memory, however often it is made and however large the environment is; nor
 * does a vfork child that executes leak memory in its parent. */
#include "execs.h"

static long mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    long n = 0;
    for (int c; (c = fgetc(maps)) != EOF;)
        n += c == '\n';
    fclose(maps);
    return n;
}

static char *words[] = {"none", NULL};

static void answers(char **environment)
{
    char **own = environ;
    pid_t child = -2;
    CHECK_ERRNO(execve("/no/such/program", words, environment), ENOENT);
    CHECK_ERRNO(execve("/etc/passwd/program", words, environment), ENOTDIR);
    CHECK_ERRNO(execve("/", words, environment), EACCES);
    CHECK_ERRNO(execve("", words, environment), ENOENT);
    CHECK_ERRNO(syscall(SYS_execve, NULL, words, environment), EFAULT);
    CHECK_ERRNO(syscall(SYS_execve, "/bin/true", words, (char **)8), EFAULT);
    CHECK_ERRNO(syscall(SYS_execve, "/bin/true", words, (char *[]){"A=1", (char *)8, NULL}), EFAULT);
    CHECK_ERRNO(execvpe("no-such-program-at-all", words, environment), ENOENT);
    CHECK_ERRNO(execle("/no/such/program", "a", "b", "c", "d", "e", "f", "g", NULL, environment), ENOENT);
    CHECK_ERRNO(fexecve(-1, words, environment), EINVAL);
    char **volatile none = NULL;
    CHECK_ERRNO(fexecve(STDIN_FILENO, words, none), EINVAL);
    CHECK_ERRNO(execveat(1234, "none", words, environment, 0), EBADF);
    CHECK_ERRNO(execveat(AT_FDCWD, "none", words, environment, 0x80), EINVAL);
    CHECK_ERRNO(syscall(SYS_execve, "/no/such/program", words, environment), ENOENT);
    CHECK_ERRNO(syscall(SYS_execveat, AT_FDCWD, "/no/such/program", words, environment, 0), ENOENT);
    errno = 7;
    CHECK_EQ(posix_spawn(&child, "/no/such/program", NULL, NULL, words, environment), ENOENT);
    CHECK_EQ(posix_spawnp(&child, "no-such-program-at-all", NULL, NULL, words, environment), ENOENT);
    CHECK(environ == own);
    environ = environment;
    CHECK_ERRNO(execv("/no/such/program", words), ENOENT);
    CHECK_ERRNO(execvp("no-such-program-at-all", words), ENOENT);
    CHECK_ERRNO(execl("/no/such/program", "a", NULL), ENOENT);
    CHECK_ERRNO(execl("/no/such/program", "a", "b", "c", "d", "e", "f", "g", "h", NULL), ENOENT);
    CHECK_ERRNO(execlp("no-such-program-at-all", "a", "b", "c", "d", NULL), ENOENT);
    CHECK(environ == environment);
    environ = own;
}

static char **of_entries(int n)
{
    char **environment = calloc(n + 1, sizeof *environment);
    for (int i = 0; i < n; i++)
        environment[i] = i == n / 2 ? "LD_PRELOAD=libm.so.6" : "A=1";
    return environment;
}

static void in_a_vfork_child(char **environment)
{
    pid_t child = OK(vfork());
    if (child == 0) {
        execve("/bin/true", words, environment);
        _exit(127);
    }
    expect_exit_0(child);
}

void test(void)
{
    static const int sizes[] = {0, 1, 150, 1000, 10000, 40000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char **environment = of_entries(sizes[i]);
        answers(environment);
        long before = mappings(), pages = resident_kb();
        for (int j = 0; j < 10; j++)
            answers(environment);
        CHECK(mappings() <= before + 2);
        CHECK(resident_kb() <= pages + 1024);
        before = mappings();
        for (int j = 0; j < 20 && sizes[i] <= 1000; j++)
            in_a_vfork_child(environment);
        CHECK(mappings() <= before + 2);
        free(environment);
    }
}

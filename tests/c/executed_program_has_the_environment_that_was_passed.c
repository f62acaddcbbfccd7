/* An executed program has the environment that was passed, entry by entry. The library adds only
 * its own entries (LD_PRELOAD, EPOLYFILL_*): the program's own entries of LD_PRELOAD and settings
 * stay, and nothing is there twice. */
#include "execs.h"

/* Runs in the program: writes its environment to a descriptor, each entry with its NUL. */
static void in_the_program(void)
{
    FILE *out = fdopen(atoi(test_argv[2]), "w");
    CHECK(out);
    for (char **entry = environ; *entry; entry++)
        CHECK(fwrite(*entry, strlen(*entry) + 1, 1, out) == 1);
    CHECK_EQ(fputc(is_served() ? '1' : '0', out), is_served() ? '1' : '0');
    CHECK_EQ(fclose(out), 0);
}

static char *seen, **entries;
static int count;
static bool served;

/* Executes itself with this environment, and records the one that the program has. */
static void execute(const struct exec *exec, char **environment)
{
    char number[12], *words[] = {test_argv[0], "look", number, "3", "4", "5", "6", "7", "8", "9", "10", "11", NULL};
    int fd[2];
    OK(pipe(fd));
    snprintf(number, sizeof number, "%d", fd[1]);
    pid_t child = OK(fork());
    if (child == 0) {
        exec->call(words, environment);
        _exit(127);
    }
    OK(close(fd[1]));
    size_t length = 0, room = 1 << 16;
    seen = malloc(room);
    for (ssize_t n; (n = OK(read(fd[0], seen + length, room - length))) > 0;) {
        length += n;
        if (length == room)
            CHECK(seen = realloc(seen, room *= 2));
    }
    OK(close(fd[0]));
    expect_exit_0(child);
    CHECK(length > 0);
    served = seen[--length] == '1';
    count = 0;
    for (size_t i = 0; i < length; i++)
        count += seen[i] == 0;
    entries = calloc(count + 1, sizeof *entries);
    char *at = seen;
    for (int i = 0; i < count; i++, at += strlen(at) + 1)
        entries[i] = at;
}
static void forget(void)
{
    free(entries);
    free(seen);
}

static int times(const char *begin)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        n += strncmp(entries[i], begin, strlen(begin)) == 0;
    return n;
}

static char *library; /* the library's entry of LD_PRELOAD */
static char preload[4096 + 32], libm[] = "LD_PRELOAD=libm.so.6", both[4096 + 64];

/* The entries that were passed come first, in their order, then the library's. */
static void expect(const struct exec *exec, char **passed, char **expected)
{
    subject = exec->name;
    execute(exec, passed);
    int n = 0;
    for (; expected[n]; n++) {
        CHECK(n < count);
        if (strcmp(entries[n], expected[n]) != 0)
            die(__FILE__, __LINE__, "entry %d is %s, not %s", n, entries[n], expected[n]);
    }
    for (; n < count; n++)
        CHECK(library && (strncmp(entries[n], "LD_PRELOAD=", 11) == 0 || strncmp(entries[n], "EPOLYFILL_", 10) == 0));
    if (library) {
        CHECK(served);
        CHECK_EQ(times("EPOLYFILL_TEST_WAY="), 1);
    }
}
static void expect_once(const struct exec *exec, char **passed, char **expected)
{
    expect(exec, passed, expected);
    if (library)
        CHECK_EQ(times("LD_PRELOAD="), 1);
    forget();
}

static void keeps(const struct exec *exec)
{
    char way[64];
    snprintf(way, sizeof way, "EPOLYFILL_TEST_WAY=%s", library ? "its own" : getenv("EPOLYFILL_TEST_WAY"));
    expect_once(exec, (char *[]){NULL}, (char *[]){NULL});
    expect_once(exec, (char *[]){"A=1", "B=", "LD_PRELOAD_=", NULL}, (char *[]){"A=1", "B=", "LD_PRELOAD_=", NULL});
    expect_once(exec, (char *[]){"A", "", "EPOLYFILL_", "A", NULL}, (char *[]){"A", "", "EPOLYFILL_", "A", NULL});
    expect_once(exec, (char *[]){"A=1", libm, "B=2", NULL}, (char *[]){"A=1", both, "B=2", NULL});
    expect_once(exec, (char *[]){"A=1", preload, "B=2", NULL}, (char *[]){"A=1", preload, "B=2", NULL});
    expect_once(exec, (char *[]){both, NULL}, (char *[]){both, NULL});
    expect_once(exec, (char *[]){"LD_PRELOAD=", NULL}, (char *[]){library ? preload : "LD_PRELOAD=", NULL});
    expect_once(exec, (char *[]){way, "A=1", NULL}, (char *[]){way, "A=1", NULL});
    /* The dynamic linker uses the last entry, and that of musl the first. */
#ifdef __GLIBC__
    expect(exec, (char *[]){libm, libm, NULL}, (char *[]){libm, both, NULL});
#else
    expect(exec, (char *[]){libm, libm, NULL}, (char *[]){both, libm, NULL});
#endif
    forget();
}

static void is_left_alone(const struct exec *exec)
{
    char *passed[] = {"A=1", "EPOLYFILL_CHILDREN=no", NULL};
    subject = exec->name;
    execute(exec, passed);
    CHECK_EQ(served, library ? false : is_served());
    CHECK_EQ(count, 2);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(strcmp(entries[i], passed[i]), 0);
    forget();
}

static void many(const struct exec *exec, int n)
{
    char **passed = calloc(n + 2, sizeof *passed);
    for (int i = 0; i < n; i++)
        CHECK(asprintf(&passed[i], "V%d=%d", i, i) > 0);
    expect_once(exec, passed, passed);
    char *own = passed[n / 2];
    passed[n / 2] = libm;
    execute(exec, passed);
    CHECK_EQ(served, is_served());
    CHECK_EQ(strcmp(entries[n / 2], both), 0);
    CHECK_EQ(strcmp(entries[n - 1], passed[n - 1]), 0);
    passed[n / 2] = own;
    forget();
    for (int i = 0; i < n; i++)
        free(passed[i]);
    free(passed);
}

void test(void)
{
    if (test_argv[1]) {
        in_the_program();
        return;
    }
    strcpy(both, libm);
    if (is_preloaded()) {
        library = getenv("LD_PRELOAD");
        snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
        snprintf(both, sizeof both, "LD_PRELOAD=%s:libm.so.6", library);
    } else {
        strcpy(preload, "LD_PRELOAD=libc.so.6");
    }
    for (int i = 0; i < EXECS; i++) {
        if (execs[i].is_a_line)
            continue;
        keeps(&execs[i]);
        is_left_alone(&execs[i]);
    }
    many(&execs[0], 180);
    many(&execs[0], 5000);
    many(&execs[0], 40000);
    for (int i = 0; i < EXECS; i++)
        if (execs[i].starts_a_process && !execs[i].is_a_line)
            many(&execs[i], 5000);
}

/* An unprivileged program may lock 8 MiB by default. A program that locks everything, now or in the
 * future, fits into that with its epoll, and keeps working: instances, hundreds of registrations,
 * duplicates, parked registrations, a fork. */
#include "harness.h"

#include <linux/capability.h>
#include <sys/mman.h>

#define LIMIT (8 << 20)
#define N 400
#define NOBODY 65534

static int pipes[N][2];

static void lose_privileges(void)
{
    struct rlimit limit = {.rlim_cur = LIMIT, .rlim_max = LIMIT};
    OK(setrlimit(RLIMIT_MEMLOCK, &limit));
    if (geteuid() == 0)
        OK(setresuid(NOBODY, NOBODY, NOBODY));
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    OK(syscall(SYS_capset, &header, none));
}

static void use(void)
{
    int ep = new_epoll();
    for (int i = 0; i < N; i++) {
        make_pipe(pipes[i]);
        ADD(ep, pipes[i][0], i % 2 ? EPOLLIN | EPOLLET : EPOLLIN, i);
    }
    for (int round = 0; round < 300; round++)
        for (int i = 0; i < N; i += 131) {
            write_bytes(pipes[i][1], 1);
            EXPECT_ONE(ep, i, EPOLLIN);
            CHECK_EQ(read_all(pipes[i][0]), 1);
            EXPECT_NONE_NOW(ep);
        }
    int other = OK(dup(pipes[7][0]));
    OK(close(pipes[7][0]));
    write_bytes(pipes[7][1], 1);
    EXPECT_ONE(ep, 7, EPOLLIN);
    OK(close(other));
    EXPECT_NONE_NOW(ep);
    write_bytes(pipes[8][1], 1);
    pid_t child = OK(fork());
    if (child == 0) {
        EXPECT_ONE(ep, 8, EPOLLIN);
        _exit(0);
    }
    expect_exit_0(child);
    EXPECT_ONE(ep, 8, EPOLLIN);
}

void test(void)
{
    struct rlimit limit;
    OK(getrlimit(RLIMIT_MEMLOCK, &limit));
    if (limit.rlim_max < LIMIT && geteuid() != 0)
        exit(77);
    static const struct {
        int flags;
        const char *name;
    } ways[] = {{MCL_CURRENT, "what there is"}, {MCL_FUTURE, "what will be"}, {MCL_CURRENT | MCL_FUTURE, "both"}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        subject = ways[i].name;
        pid_t child = OK(fork());
        if (child == 0) {
            lose_privileges();
            OK(mlockall(ways[i].flags));
            use();
            OK(mlockall(ways[i].flags));
            _exit(0);
        }
        expect_exit_0(child);
    }
}

/* A program may close all descriptors that it does not know, as daemons do, and create a new
 * instance (C3, D1). */
#include "harness.h"

static void use_a_new_instance(void)
{
    int fd[2], ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 7);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    write_bytes(fd[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 7);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 7, EPOLLIN);
}

static void close_each(void)
{
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    int n = limit.rlim_cur < 100000 ? limit.rlim_cur : 100000;
    for (int fd = 3; fd < n; fd++)
        close(fd);
}
static void close_each_raw(void)
{
    for (int fd = 3; fd < 1024; fd++)
        syscall(SYS_close, fd);
}
static void close_from(void) { closefrom(3); }
static void close_a_range(void) { OK(close_range(3, ~0u, 0)); }
static void close_a_range_raw(void) { OK(syscall(SYS_close_range, 3, ~0u, 0)); }

void test(void)
{
    void (*ways[])(void) = {close_each, close_each_raw, close_from, close_a_range, close_a_range_raw};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        /* In a child, and twice, so that the closed descriptors belong to an instance in use. */
        pid_t child = OK(fork());
        if (child == 0) {
            for (int twice = 0; twice < 2; twice++) {
                use_a_new_instance();
                ways[i]();
                CHECK_EQ(OK(open("/dev/null", O_RDONLY)), 3);
            }
            use_a_new_instance();
            _exit(0);
        }
        expect_exit_0(child);
    }
}

/* A thread whose first wait found no free descriptor number is woken by another thread's control in
 * a later one (T6, C3). */
#include "harness.h"

static int ep;
static atomic_int stage;

static void *waits_twice(void *arg)
{
    (void)arg;
    EXPECT_NONE(ep);
    atomic_store(&stage, 1);
    UNTIL(atomic_load(&stage) == 2);
    EXPECT_ONE(ep, 2, EPOLLIN);
    atomic_store(&stage, 3);
    return NULL;
}

void test(void)
{
    int silent[2], ready[2], taken[64], n = 0;
    make_pipe(silent);
    make_pipe(ready);
    ep = new_epoll();
    ADD(ep, silent[0], EPOLLIN, 1);
    write_bytes(ready[1], 1);

    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 64;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    while ((taken[n] = dup(silent[0])) >= 0)
        n++;
    CHECK_EQ(errno, EMFILE);

    struct thread thread;
    start_thread(&thread, waits_twice, NULL);
    while (atomic_load(&stage) == 0)
        MOD(ep, silent[0], EPOLLIN, 1);
    while (n > 0)
        OK(close(taken[--n]));
    atomic_store(&stage, 2);
    wait_until_blocked(thread.tid);
    ADD(ep, ready[0], EPOLLIN, 2);
    int64_t start = now_ns();
    join_thread(&thread);
    CHECK_EQ(atomic_load(&stage), 3);
    CHECK(now_ns() - start < 2000000000);
}

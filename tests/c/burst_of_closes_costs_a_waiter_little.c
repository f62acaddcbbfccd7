/* While a thread waits for thousands of descriptors, they are closed at once, by every kind of
 * close, and another thread registers new ones: the time grows linearly with their number, not with
 * its square. */
#include "harness.h"

enum { MOST = 8000, BOUND_CPU_MS = 1500 };

static int ep, stop, fd[MOST];

static void close_one_by_one(int n)
{
    for (int i = 0; i < n; i++)
        OK(close(fd[i]));
}

static void close_by_range(int n)
{
    OK(close_range(fd[0], fd[n - 1], 0));
}

static void close_by_dup(int n)
{
    int null = OK(open("/dev/null", O_RDONLY));
    for (int i = 0; i < n; i++)
        OK(dup2(null, fd[i]));
    OK(close_range(fd[0], fd[n - 1], 0));
    OK(close(null));
}

static void register_again(int n)
{
    for (int i = 0; i < n; i++) {
        DEL(ep, fd[i]);
        ADD(ep, fd[i], EPOLLIN | EPOLLRDHUP, 1);
    }
    OK(close_range(fd[0], fd[n - 1], 0));
}

static void *wait_for_stop(void *arg)
{
    (void)arg;
    CHECK_EQ(wait_events(ep, -1).n, 1);
    return NULL;
}

static void run(const char *name, void (*burst)(int), int n)
{
    struct thread thread;
    subject = name;
    ep = new_epoll();
    stop = OK(eventfd(0, 0));
    ADD(ep, stop, EPOLLIN, 2);
    for (int i = 0; i < n; i++) {
        fd[i] = OK(eventfd(0, 0));
        ADD(ep, fd[i], EPOLLIN, 1);
    }
    start_thread(&thread, wait_for_stop, NULL);
    wait_until_blocked(thread.tid);
    int64_t before_ns = cpu_ns();
    burst(n);
    CHECK(cpu_ns() - before_ns < BOUND_CPU_MS * 1000000ll);
    add_one(stop);
    join_thread(&thread);
    OK(close(stop));
    OK(close(ep));
}

void test(void)
{
    struct rlimit limit;
    raise_descriptor_limit();
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    int n = limit.rlim_cur > MOST + 200 ? MOST : (int)limit.rlim_cur - 200;
    run("closes", close_one_by_one, n);
    run("close_range", close_by_range, n);
    run("dup2", close_by_dup, n);
    run("registrations", register_again, n);
}

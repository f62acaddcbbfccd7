/* A process watches as many descriptors as the hard limit allows, up to 20,000: waits report
 * exactly the active ones, in bounded time, also in a second thread, and all of them can be closed
 * at once. */
#include "harness.h"

static int ep, n, *fds;

static struct epoll_event events[32768];

/* The wait reports exactly these, once each. */
static void expect_set(const int *at, int count)
{
    static char seen[32768];
    memset(seen, 0, sizeof seen);
    for (int got = 0; got < count;) {
        int m = OK(epoll_wait(ep, events, 1000, BOUND_MS));
        CHECK(m > 0);
        for (int i = 0; i < m; i++) {
            int k = events[i].data.u32;
            CHECK_EQ(events[i].events, EPOLLIN);
            CHECK_EQ(seen[k], 0);
            seen[k] = 1;
            CHECK_EQ(read_all(fds[k]), 8);
        }
        got += m;
    }
    for (int i = 0; i < count; i++)
        CHECK_EQ(seen[at[i]], 1);
    EXPECT_NONE_NOW(ep);
}

static void *hears_one(void *arg)
{
    (void)arg;
    struct epoll_event event;
    CHECK_EQ(epoll_wait(ep, &event, 1, BOUND_MS), 1);
    return (void *)(intptr_t)event.data.u32;
}

static void watch_all(uint32_t mode)
{
    static int at[32768];
    ep = new_epoll();
    for (int i = 0; i < n; i++)
        ADD(ep, fds[i], mode, i);
    EXPECT_NONE_NOW(ep);
    unsigned state = 1;
    for (int round = 0; round < 60; round++) {
        static char chosen[32768];
        memset(chosen, 0, sizeof chosen);
        int count = 0;
        for (int i = 0; i < 1 + round; i++) {
            state = state * 1103515245 + 12345;
            int k = state / 7 % n;
            if (chosen[k])
                continue;
            chosen[k] = 1;
            at[count++] = k;
            add_one(fds[k]);
        }
        expect_set(at, count);
    }
    for (int i = 0; i < n; i++) {
        at[i] = i;
        add_one(fds[i]);
    }
    expect_set(at, n);
    bool prompt = false;
    for (int attempt = 0; !prompt; attempt++) {
        struct thread thread;
        start_thread(&thread, hears_one, NULL);
        wait_until_blocked(thread.tid);
        int64_t start = now_ns();
        add_one(fds[n - 1 - attempt]);
        CHECK_EQ((intptr_t)join_thread(&thread), n - 1 - attempt);
        prompt = TOOK_LESS(attempt, start, 500);
        CHECK_EQ(read_all(fds[n - 1 - attempt]), 8);
    }
    OK(close(ep));
}

void test(void)
{
    raise_descriptor_limit();
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    int most = limit.rlim_cur < 20000 ? limit.rlim_cur : 20000;
    limit.rlim_cur = most;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    fds = calloc(most, sizeof *fds);
    /* All but a few numbers, which the second thread and the instance need on any system. */
    while ((fds[n] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0)
        n++;
    CHECK_EQ(errno, EMFILE);
    for (int i = 0; i < 32; i++)
        OK(close(fds[--n]));
    watch_all(EPOLLIN);
    watch_all(EPOLLIN | EPOLLET);
    ep = new_epoll();
    for (int i = 0; i < n; i++)
        ADD(ep, fds[i], EPOLLIN | EPOLLET, i);
    struct thread thread;
    start_thread(&thread, hears_one, NULL);
    wait_until_blocked(thread.tid);
    int left = fds[0];
    OK(close_range(left + 1, ~0u, 0));
    add_one(left);
    CHECK_EQ((intptr_t)join_thread(&thread), 0);
}

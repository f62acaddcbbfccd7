/* Long-silent registrations are reported although a thread that the library may have started for
 * them runs only after a while, or not at all: here threads that the test did not start are delayed
 * (W3, W4, D4). */
#include "harness.h"

#include <dlfcn.h>

#define N 200

static atomic_bool held, ours;
static int ep, fd[N][2], busy[2];

struct start {
    void *(*run)(void *);
    void *arg;
};

static void *late(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    while (atomic_load(&held))
        pause_ms(1);
    return start.run(start.arg);
}

/* Interposes libc's function: threads that the test did not start itself wait until it releases
 * them. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    if (atomic_load(&ours))
        return next(thread, attributes, run, arg);
    struct start *start = malloc(sizeof *start);
    *start = (struct start){run, arg};
    return next(thread, attributes, late, start);
}

static void *writes(void *arg)
{
    pause_ms(5);
    write_bytes(fd[(intptr_t)arg][1], 1);
    return NULL;
}

static void start_writer(struct thread *thread, int i)
{
    atomic_store(&ours, true);
    start_thread(thread, writes, (void *)(intptr_t)i);
    atomic_store(&ours, false);
}

/* Items that are ready when the wait begins, and items that become ready during it. */
static void everything_is_heard(void)
{
    for (int i = 0; i < N; i += 13) {
        write_bytes(fd[i][1], 1);
        struct events events = wait_events(ep, 0);
        CHECK_EQ(events.n, 1);
        CHECK_EQ(events.at[0].data.u64, i);
        CHECK_EQ(read_all(fd[i][0]), 1);
        EXPECT_NONE_NOW(ep);
    }
}

void test(void)
{
    ep = new_epoll();
    make_pipe(busy);
    ADD(ep, busy[0], EPOLLIN, N);
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    atomic_store(&held, true);
    for (int i = 0; i < 2000; i++) {
        write_bytes(busy[1], 1);
        EXPECT_ONE(ep, N, EPOLLIN);
        CHECK_EQ(read_all(busy[0]), 1);
    }
    everything_is_heard();

    /* An item that becomes ready during a wait is reported without the thread; a close reaches the
     * peer at once. */
    struct thread writer;
    start_writer(&writer, 100);
    pause_ms(20);
    EXPECT_ONE(ep, 100, EPOLLIN);
    join_thread(&writer);
    CHECK_EQ(read_all(fd[100][0]), 1);
    OK(close(fd[101][1]));
    EXPECT_ONE(ep, 101, EPOLLHUP);
    int64_t start;
    int closed = 0;
    do {
        start = now_ns();
        OK(close(fd[102 + closed][0]));
    } while (!TOOK_LESS(closed++, start, 100));
    while (closed-- > 0)
        CHECK_ERRNO(write(fd[102 + closed][1], "", 1), EPIPE);
    DEL(ep, fd[101][0]);
    atomic_store(&held, false);
    for (int i = 0; i < 100; i += 9) {
        start_writer(&writer, i);
        EXPECT_ONE(ep, i, EPOLLIN);
        join_thread(&writer);
        CHECK_EQ(read_all(fd[i][0]), 1);
    }
}

/* A thread that sleeps in any of the waits can be cancelled; its clean-up handlers run, and the
 * instance keeps working (W10). */
#include "harness.h"

static int ep;
static atomic_int cleaned;

static void clean(void *arg)
{
    (void)arg;
    atomic_fetch_add(&cleaned, 1);
}

static void *waits(void *arg)
{
    struct epoll_event at[4];
    enum call call = (uintptr_t)arg % 3;
    sigset_t none;
    sigemptyset(&none);
    pthread_cleanup_push(clean, NULL);
    wait_by(call, ep, at, 4, (uintptr_t)arg < 3 ? -1 : 60000, call == WAIT ? NULL : &none);
    pthread_cleanup_pop(0);
    return NULL;
}

void test(void)
{
    int fd[2], runs = 0;
    ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int round = 0; round < 5; round++)
        for (uintptr_t i = 0; i < 6; i++) {
            struct thread thread;
            struct waiter other;
            start_thread(&thread, waits, (void *)i);
            wait_until_blocked(thread.tid);
            start_waiter(&other, ep);
            PT(pthread_cancel(thread.id));
            CHECK(join_thread(&thread) == PTHREAD_CANCELED);
            CHECK_EQ(cleaned, ++runs);

            /* Control and wait work as before. */
            MOD(ep, fd[0], EPOLLIN | EPOLLET, runs);
            CHECK(!atomic_load(&other.done));
            write_bytes(fd[1], 1);
            CHECK_EQ(join_waiter(&other), 1);
            CHECK_EQ(other.at[0].data.u64, runs);
            CHECK_EQ(read_all(fd[0]), 1);
        }
}

/* Threads make announcements and write; others wait edge-triggered, and read all, some or none of
 * it. No announcement is missed by a sleeping thread, on eventfds that are never read, on pipes and
 * on sockets (E1, E6, W9). */
#include "stress.h"

#define SOURCES 6
#define WRITERS 4
#define WAITERS 3
static int ep, stop, in[SOURCES], out[SOURCES];
static atomic_long announced[SOURCES], heard[SOURCES];
static pthread_mutex_t turn[SOURCES];
static int64_t end;

static void hear(int i)
{
    long now = atomic_load(&announced[i]), before = atomic_load(&heard[i]);
    while (before < now && !atomic_compare_exchange_weak(&heard[i], &before, now))
        ;
}

static void *waits(void *arg)
{
    uint64_t state = stress_seed((uintptr_t)arg);
    char buffer[4096];
    for (;;) {
        struct events events = wait_at_most(ep, 1 + chance(&state, 4), -1);
        CHECK(events.n > 0);
        for (int k = 0; k < events.n; k++) {
            int i = (int)events.at[k].data.u64;
            if (i == SOURCES)
                return NULL;
            hear(i);
            if (i % 3 == 0)
                continue; /* an eventfd that is never read */
            if (chance(&state, 2))
                while (read(in[i], buffer, sizeof buffer) > 0)
                    ;
            else if (read(in[i], buffer, 1 + chance(&state, 64)) < 0)
                CHECK_EQ(errno, EAGAIN);
            hear(i);
        }
    }
}

static void *writes(void *arg)
{
    uint64_t state = stress_seed((uintptr_t)arg);
    static const char bytes[64];
    while (now_ns() < end) {
        int i = (int)chance(&state, SOURCES);
        PT(pthread_mutex_lock(&turn[i]));
        long mine = atomic_fetch_add(&announced[i], 1) + 1;
        if (i % 3 == 0)
            add_one(out[i]);
        else
            while (write(out[i], bytes, 1 + chance(&state, sizeof bytes)) < 0) {
                CHECK_EQ(errno, EAGAIN);
                sched_yield();
            }
        bool alone = chance(&state, 2);
        if (!alone)
            PT(pthread_mutex_unlock(&turn[i]));
        for (int64_t start = now_ns(); atomic_load(&heard[i]) < mine; sched_yield())
            if (now_ns() - start > BOUND_MS * 1000000ll)
                die(__FILE__, __LINE__, "source %d: %ld announced, %ld heard", i, mine, atomic_load(&heard[i]));
        if (alone)
            PT(pthread_mutex_unlock(&turn[i]));
    }
    return NULL;
}

void test(void)
{
    struct thread writers[WRITERS], waiters[WAITERS];
    ep = new_epoll();
    end = stress_end();
    stop = OK(eventfd(0, 0));
    for (int i = 0; i < SOURCES; i++) {
        int fd[2];
        PT(pthread_mutex_init(&turn[i], NULL));
        if (i % 3 == 0)
            fd[0] = fd[1] = OK(eventfd(0, EFD_NONBLOCK));
        else if (i % 3 == 1)
            make_pipe(fd);
        else
            make_pair(SOCK_STREAM, fd);
        in[i] = fd[0];
        out[i] = fd[1];
        ADD(ep, in[i], EPOLLIN | EPOLLET, i);
    }
    ADD(ep, stop, EPOLLIN, SOURCES);
    for (uintptr_t i = 0; i < WAITERS; i++)
        start_thread(&waiters[i], waits, (void *)(i + 1));
    for (uintptr_t i = 0; i < WRITERS; i++)
        start_thread(&writers[i], writes, (void *)(i + 100));
    for (int i = 0; i < WRITERS; i++)
        PT(pthread_join(writers[i].id, NULL));
    add_one(stop);
    for (int i = 0; i < WAITERS; i++)
        join_thread(&waiters[i]);
}

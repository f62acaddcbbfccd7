/* Handlers run at a high rate in every thread, while the threads make control calls, wait, write,
 * close and fork. A handler makes announcements, writes to an eventfd and a pipe, and closes and
 * duplicates descriptors. Nothing hangs, no announcement is missed, and descriptors that handlers
 * closed are gone (E6, D1, W8). */
#include "stress.h"

#include <sys/time.h>

#define WORKERS 3
#define RESERVE 512
static int ep, bell, tube[2], over;
static atomic_long announced, heard, handled;
static atomic_int reserve[RESERVE];
static int64_t end;

static void on_signal(int signal)
{
    (void)signal;
    int error = errno;
    uint64_t one = 1;
    atomic_fetch_add(&announced, 1);
    if (write(bell, &one, sizeof one) != sizeof one)
        _exit(3);
    (void)!write(tube[1], &one, 1);
    long turn = atomic_fetch_add(&handled, 1);
    int fd = atomic_exchange(&reserve[turn % RESERVE], -1);
    if (fd >= 0) {
        int twin = dup(fd);
        if (close(fd) != 0 || (twin >= 0 && close(twin) != 0))
            _exit(4);
    }
    errno = error;
}

static void *loop(void *arg)
{
    (void)arg;
    char buffer[512];
    for (;;) {
        struct epoll_event at[8];
        int n = epoll_wait(ep, at, 8, -1);
        if (n < 0) {
            CHECK_EQ(errno, EINTR);
            continue;
        }
        for (int i = 0; i < n; i++) {
            if (at[i].data.u64 == 9)
                return NULL;
            if (at[i].data.u64 == 2)
                while (read(tube[0], buffer, sizeof buffer) > 0)
                    ;
        }
        atomic_store(&heard, atomic_load(&announced));
    }
}

static void *works(void *arg)
{
    uint64_t state = stress_seed((uintptr_t)arg);
    while (now_ns() < end) {
        int fd = eventfd(1, EFD_CLOEXEC);
        if (fd < 0)
            continue;
        ADD(ep, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 1);
        MOD(ep, fd, EPOLLOUT | EPOLLET, 1);
        if (chance(&state, 2))
            DEL(ep, fd);
        int place = (int)chance(&state, RESERVE), none = -1;
        if (!atomic_compare_exchange_strong(&reserve[place], &none, fd))
            OK(close(fd));
        if (chance(&state, 200) == 0) {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            if (child > 0)
                expect_exit_0(child);
            else
                CHECK(errno == EAGAIN || errno == EINTR);
        }
    }
    return NULL;
}

static void *storm(void *arg)
{
    struct thread *threads = arg;
    uint64_t state = stress_seed(77);
    while (now_ns() < end) {
        PT(pthread_kill(threads[chance(&state, WORKERS + 1)].id, SIGUSR1));
        for (unsigned turns = chance(&state, 20); turns > 0; turns--)
            sched_yield();
    }
    return NULL;
}

void test(void)
{
    struct thread threads[WORKERS + 1], stormer;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    for (int i = 0; i < RESERVE; i++)
        atomic_store(&reserve[i], -1);
    end = stress_end();
    ep = new_epoll();
    bell = OK(eventfd(0, EFD_NONBLOCK));
    over = OK(eventfd(0, 0));
    make_pipe(tube);
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    ADD(ep, tube[0], EPOLLIN | EPOLLET, 2);
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(sigaction(SIGALRM, &action, NULL));
    start_thread(&threads[WORKERS], loop, NULL);
    for (uintptr_t i = 0; i < WORKERS; i++)
        start_thread(&threads[i], works, (void *)(i + 1));
    OK(setitimer(ITIMER_REAL, &often, NULL));
    start_thread(&stormer, storm, threads);
    PT(pthread_join(stormer.id, NULL));
    OK(setitimer(ITIMER_REAL, &never, NULL));
    for (int i = 0; i < WORKERS; i++)
        join_thread(&threads[i]);
    UNTIL(atomic_load(&heard) == atomic_load(&announced));
    for (int i = 0; i < RESERVE; i++)
        if (atomic_load(&reserve[i]) >= 0)
            OK(close(atomic_load(&reserve[i])));
    ADD(ep, over, EPOLLIN, 9);
    add_one(over);
    join_thread(&threads[WORKERS]);
    DEL(ep, over);
    struct events rest = wait_events(ep, 0);
    for (int i = 0; i < rest.n; i++)
        CHECK(rest.at[i].data.u64 == 1 || rest.at[i].data.u64 == 2);
    EXPECT_NONE_NOW(ep);
}

/* A full pipe that is emptied wakes its writer each time, also while another thread forks (E4, E6,
 * D5). */
#include "harness.h"

static atomic_bool over;
static atomic_long edges;
static int ep;

static void *waits(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        struct events events = wait_events(ep, -1);
        for (int i = 0; i < events.n; i++)
            if (events.at[i].events & EPOLLOUT)
                atomic_fetch_add(&edges, 1);
    }
    return NULL;
}

static void *forks(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        pid_t child = OK(fork());
        if (child == 0)
            _exit(0);
        expect_exit_0(child);
        pause_ms(1);
    }
    return NULL;
}

void test(void)
{
    struct thread waiting, forking;
    int fd[2], stop = OK(eventfd(0, 0));
    ep = new_epoll();
    make_pipe(fd);
    OK(fcntl(fd[1], F_SETPIPE_SZ, 4096));
    ADD(ep, fd[1], EPOLLOUT | EPOLLET, 1);
    ADD(ep, stop, EPOLLIN, 2);

    /* Memory to copy makes each fork slow. */
    size_t size = 100 << 20;
    char *memory = malloc(size);
    CHECK(memory != NULL);
    memset(memory, 1, size);
    start_thread(&waiting, waits, NULL);
    UNTIL(atomic_load(&edges) == 1);
    start_thread(&forking, forks, NULL);
    int64_t end = now_ns() + 1500000000;
    while (now_ns() < end) {
        fill(fd[1]);
        long before = atomic_load(&edges);
        read_all(fd[0]);
        for (int64_t start = now_ns(); atomic_load(&edges) == before; sched_yield())
            CHECK(now_ns() - start < BOUND_MS * 1000000ll);
    }
    atomic_store(&over, true);
    add_one(stop);
    join_thread(&forking);
    join_thread(&waiting);
    free(memory);
}

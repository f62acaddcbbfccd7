/* Ten threads wait with a timeout, and shortly before it expires there is an event for each: every
 * thread gets one, also those that are behind others in the queue (W2, W9). */
#include "harness.h"

enum { THREADS = 10, ROUNDS = 150, LIMIT_MS = 8 };

static int ep, fd[THREADS];
static pthread_barrier_t before, after;
static bool is_over; /* between the barriers */
static int64_t began_ns[THREADS];
static int result[THREADS];

static void *wait_in_rounds(void *arg)
{
    int me = (int *)arg - fd;
    for (;;) {
        pthread_barrier_wait(&before);
        if (is_over)
            return NULL;
        struct epoll_event event;
        uint64_t count;
        began_ns[me] = now_ns();
        result[me] = OK(wait_by((enum call)(me % 3), ep, &event, 1, LIMIT_MS, NULL));
        if (result[me] == 1)
            CHECK_EQ(read((int)event.data.u64, &count, sizeof count), sizeof count);
        pthread_barrier_wait(&after);
    }
}

static void run_round(int round)
{
    struct timespec pause = {0, LIMIT_MS * 1000000 - 1500000 + round % 15 * 100000};
    pthread_barrier_wait(&before);
    OK(nanosleep(&pause, NULL));
    for (int i = 0; i < THREADS; i++)
        add_one(fd[i]);
    int64_t written_ns = now_ns();
    pthread_barrier_wait(&after);
    for (int i = 0; i < THREADS; i++)
        CHECK(result[i] == 1 || began_ns[i] + LIMIT_MS * 1000000ll <= written_ns);
    for (struct events events = wait_events(ep, 0); events.n > 0; events = wait_events(ep, 0))
        for (int i = 0; i < events.n; i++)
            read_all((int)events.at[i].data.u64);
}

static void run(uint32_t events)
{
    struct thread threads[THREADS];
    ep = new_epoll();
    is_over = false;
    for (int i = 0; i < THREADS; i++) {
        fd[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, fd[i], events, fd[i]);
        start_thread(&threads[i], wait_in_rounds, &fd[i]);
    }
    for (int round = 0; round < ROUNDS; round++)
        run_round(round);
    is_over = true;
    pthread_barrier_wait(&before);
    for (int i = 0; i < THREADS; i++) {
        join_thread(&threads[i]);
        OK(close(fd[i]));
    }
    OK(close(ep));
}

void test(void)
{
    PT(pthread_barrier_init(&before, NULL, THREADS + 1));
    PT(pthread_barrier_init(&after, NULL, THREADS + 1));
    run(EPOLLIN | EPOLLET);
}

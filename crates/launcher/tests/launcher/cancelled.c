/* Cancels threads in calls that are cancellation points, in each of them at many moments. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KINDS 10
#define ROUNDS 30

static int ends[2], pair[2], listener;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t empty;
static atomic_int begun, cleaned;

static void counts(void *arg)
{
    (void)arg;
    atomic_fetch_add(&cleaned, 1);
}

static void unlocks(void *arg) { pthread_mutex_unlock(arg); }

static void waits_for_condition(void)
{
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push(unlocks, &mutex);
    for (;;)
        pthread_cond_wait(&never, &mutex);
    pthread_cleanup_pop(1);
}

static void blocks(int kind)
{
    struct pollfd item = {ends[0], POLLIN, 0};
    struct timespec limit = {100, 0};
    fd_set set;
    char byte;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    switch (kind) {
    case 0: if (read(ends[0], &byte, 1) == 1) return; break;
    case 1: if (recv(pair[0], &byte, 1, 0) == 1) return; break;
    case 2: accept(listener, NULL, NULL); break;
    case 3: poll(&item, 1, -1); break;
    case 4: waits_for_condition(); break;
    case 5: sem_wait(&empty); break;
    case 6: nanosleep(&limit, NULL); break;
    case 7: pause(); break;
    case 8: select(ends[0] + 1, &set, NULL, NULL, NULL); break;
    case 9: for (;;) pthread_testcancel();
    }
}

static void *thread(void *kind)
{
    pthread_cleanup_push(counts, NULL);
    atomic_fetch_add(&begun, 1);
    blocks(*(int *)kind);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    struct sockaddr any = {AF_UNIX, {0}};
    alarm(60);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (pipe(ends) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || bind(listener, &any, 2) || listen(listener, 5) ||
        sem_init(&empty, 0, 0))
        return 1;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[KINDS];
        static int kinds[KINDS];
        for (int kind = 0; kind < KINDS; kind++) {
            kinds[kind] = kind;
            if (pthread_create(&threads[kind], NULL, thread, &kinds[kind]))
                return 2;
        }
        while (atomic_load(&begun) < KINDS * (round + 1))
            sched_yield();
        if (round % 2)
            usleep(500);
        for (int kind = 0; kind < KINDS; kind++) {
            void *result = NULL;
            if (pthread_cancel(threads[kind]) || pthread_join(threads[kind], &result) || result != PTHREAD_CANCELED) {
                printf("%d is not cancelled in round %d\n", kind, round);
                return 3;
            }
        }
    }
    if (atomic_load(&cleaned) != KINDS * ROUNDS)
        return 4;
    puts("cancelled");
    return 0;
}

/* A thread that is cancelled while it blocks in a call, or just before, ends there: its cleanup
 * handlers run, and the locks that they give up are free (W10). */
#include "harness.h"

#include <netinet/in.h>
#include <semaphore.h>

enum { ROUNDS = 40, MANY = 400 };

static int ep, bell, pair[2], listener;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t nothing;
static atomic_int ready, cleaned;

static void by_wait(void)
{
    struct epoll_event out;
    epoll_wait(ep, &out, 1, -1);
}

static void by_wait_again_and_again(void)
{
    struct epoll_event out;
    epoll_wait(ep, &out, 1, 0);
}

static void by_read(void)
{
    uint64_t count;
    if (read(bell, &count, sizeof count) < 0)
        CHECK_EQ(errno, EINTR);
}

static void by_receive(void)
{
    char byte;
    recv(pair[0], &byte, 1, 0);
}

static void by_accept(void) { accept(listener, NULL, NULL); }

static void by_poll(void)
{
    struct pollfd set = {.fd = bell, .events = POLLIN};
    poll(&set, 1, -1);
}

static void by_sleep(void)
{
    struct timespec long_time = {BOUND_MS, 0};
    nanosleep(&long_time, NULL);
}

static void by_semaphore(void) { sem_wait(&nothing); }

static void unlock(void *mutex) { PT(pthread_mutex_unlock(mutex)); }

static void by_condition(void)
{
    PT(pthread_mutex_lock(&lock));
    pthread_cleanup_push(unlock, &lock);
    pthread_cond_wait(&never, &lock);
    pthread_cleanup_pop(1);
}

static void clean(void *arg)
{
    (void)arg;
    cleaned++;
}

static void *blocks(void *call)
{
    pthread_cleanup_push(clean, NULL);
    ready = 1;
    for (;;)
        ((void (*)(void))call)();
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel_in(const char *name, void (*call)(void), int rounds)
{
    subject = name;
    for (int i = 0; i < rounds; i++) {
        struct thread thread;
        ready = cleaned = 0;
        start_thread(&thread, blocks, (void *)call);
        while (!ready)
            sched_yield();
        /* Before the call, in it, and when it has blocked for a while. */
        if (i % 4 == 0)
            pause_ms(1);
        for (volatile int spent = 0; spent < i % 7 * 500; spent++)
            ;
        PT(pthread_cancel(thread.id));
        CHECK(join_thread(&thread) == PTHREAD_CANCELED);
        CHECK_EQ(cleaned, 1);
        PT(pthread_mutex_trylock(&lock));
        PT(pthread_mutex_unlock(&lock));
    }
    subject = "";
}

void test(void)
{
    ep = new_epoll();
    bell = OK(eventfd(0, 0));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    listener = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(listen(listener, 1));
    OK(sem_init(&nothing, 0, 0));
    cancel_in("epoll_wait", by_wait, ROUNDS);
    cancel_in("short waits", by_wait_again_and_again, MANY);
    cancel_in("read", by_read, ROUNDS);
    cancel_in("recv", by_receive, ROUNDS);
    cancel_in("accept", by_accept, ROUNDS);
    cancel_in("poll", by_poll, ROUNDS);
    cancel_in("nanosleep", by_sleep, ROUNDS);
    cancel_in("sem_wait", by_semaphore, ROUNDS);
    cancel_in("pthread_cond_wait", by_condition, ROUNDS);
    EXPECT_NONE_NOW(ep);
    add_one(bell);
    EXPECT_ONE(ep, 1, EPOLLIN);
}

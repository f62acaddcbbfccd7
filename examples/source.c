/* A readiness source: an event loop watches a queue in memory beside a descriptor, edge-triggered.
 *
 *   cargo build --release
 *   ln -sf libepolyfill.so target/release/libepolyfill.so.0
 *   gcc -Iinclude examples/source.c -o source -Ltarget/release -lepolyfill -pthread -Wl,-rpath,"$PWD/target/release" && ./source
 *
 * A thread puts numbers into the queue, in bursts, and posts EPOLLIN on the source each time. When
 * the source is reported, the loop empties the queue and prints a line. It ends when a timer has
 * been reported and all numbers have arrived. */
#include <epolyfill.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BURSTS 5
#define BURST 4

static struct {
    pthread_mutex_t lock;
    int numbers[BURSTS * BURST];
    int put, taken;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int source;

static int ok(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void *produce(void *unused)
{
    (void)unused;
    for (int burst = 0; burst < BURSTS; burst++) {
        for (int i = 0; i < BURST; i++) {
            pthread_mutex_lock(&queue.lock);
            queue.numbers[queue.put] = queue.put;
            queue.put++;
            pthread_mutex_unlock(&queue.lock);
            ok(epolyfill_source_post(source, EPOLLIN), "epolyfill_source_post");
        }
        usleep(20000);
    }
    return NULL;
}

/* Clears the source first: a number that arrives after that is posted again, and so reported
 * again. */
static int take_all(void)
{
    ok(epolyfill_source_clear(source, EPOLLIN), "epolyfill_source_clear");
    pthread_mutex_lock(&queue.lock);
    int before = queue.taken, sum = 0;
    while (queue.taken < queue.put)
        sum += queue.numbers[queue.taken++];
    printf("the source is ready: %d numbers taken\n", queue.taken - before);
    pthread_mutex_unlock(&queue.lock);
    return sum;
}

int main(void)
{
    int ep = ok(epolyfill_create1(EPOLL_CLOEXEC), "epolyfill_create1");
    int timer = ok(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
    source = ok(epolyfill_source_new(EPOLL_CLOEXEC), "epolyfill_source_new");
    struct itimerspec period = {.it_value = {.tv_nsec = 50000000}, .it_interval = {.tv_nsec = 50000000}};
    ok(timerfd_settime(timer, 0, &period, NULL), "timerfd_settime");
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = source};
    ok(epolyfill_ctl(ep, EPOLL_CTL_ADD, source, &event), "epolyfill_ctl");
    event = (struct epoll_event){.events = EPOLLIN, .data.fd = timer};
    ok(epolyfill_ctl(ep, EPOLL_CTL_ADD, timer, &event), "epolyfill_ctl");

    pthread_t producer;
    if (pthread_create(&producer, NULL, produce, NULL)) {
        fputs("no thread can be had\n", stderr);
        return 1;
    }
    int sum = 0;
    for (int over = 0; !over;) {
        struct epoll_event events[2];
        int n = ok(epolyfill_wait(ep, events, 2, -1), "epolyfill_wait");
        for (int i = 0; i < n; i++) {
            uint64_t expirations;
            if (events[i].data.fd == source)
                sum += take_all();
            else if (read(timer, &expirations, sizeof expirations) == sizeof expirations)
                over = queue.taken == BURSTS * BURST;
        }
    }
    pthread_join(producer, NULL);
    ok(epolyfill_source_close(source), "epolyfill_source_close");
    ok(epolyfill_close(timer), "epolyfill_close");
    ok(epolyfill_close(ep), "epolyfill_close");
    printf("%d numbers came, their sum is %d\n", queue.taken, sum);
    return 0;
}

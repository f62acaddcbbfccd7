/* Signals that hit the waiting thread all the time: every wait is EINTR or an event, and each edge
 * is reported (W8, E6). */
#include "harness.h"

#define EVENTS 2000
static atomic_bool over;
static pthread_t waiting;
static int bell;
static atomic_int heard;

static void on_signal(int signal) { (void)signal; }

static void *storm(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        PT(pthread_kill(waiting, SIGUSR1));
        usleep(50);
    }
    return NULL;
}

static void *ringer(void *arg)
{
    (void)arg;
    for (int i = 0; i < EVENTS; i++) {
        add_one(bell);
        while (atomic_load(&heard) <= i)
            usleep(20);
    }
    return NULL;
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    struct thread threads[2];
    int ep = new_epoll(), interrupted = 0;
    bell = OK(eventfd(0, 0));
    waiting = pthread_self();
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    start_thread(&threads[0], storm, NULL);
    start_thread(&threads[1], ringer, NULL);
    while (atomic_load(&heard) < EVENTS) {
        struct epoll_event at;
        int n = epoll_wait(ep, &at, 1, -1);
        if (n == 1)
            atomic_fetch_add(&heard, 1);
        else {
            CHECK_EQ(n, -1);
            CHECK_EQ(errno, EINTR);
            interrupted++;
        }
    }
    atomic_store(&over, true);
    join_thread(&threads[0]);
    join_thread(&threads[1]);
    CHECK(interrupted > 0);
}

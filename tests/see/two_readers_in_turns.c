// A second thread is given the next bytes of a stream while the first is still at the earlier ones,
// and they read in turns.
// audit: suspect two-at-once watch
#include "see.h"
#include <pthread.h>
#include <semaphore.h>

static int epfd, fds[2];
static sem_t turns[2];

static void take(void)
{
    char bytes[64];
    CHECK(read(fds[0], bytes, 5) == 5);
}

static void told(void)
{
    struct epoll_event event;
    CHECK(write(fds[1], "0123456789abcdefghij", 20) == 20);
    CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
}

static void *second(void *unused)
{
    (void)unused;
    CHECK(sem_wait(&turns[1]) == 0);
    told();
    for (int i = 0; i < 3; i++) {
        take();
        CHECK(sem_post(&turns[0]) == 0);
        CHECK(sem_wait(&turns[1]) == 0);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread;
    pair(fds);
    epfd = new_instance();
    watch(epfd, fds[0], EPOLLIN | EPOLLET);
    CHECK(sem_init(&turns[0], 0, 0) == 0 && sem_init(&turns[1], 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, second, NULL) == 0);
    told();
    for (int i = 0; i < 4; i++) {
        char bytes[4];
        CHECK(read(fds[0], bytes, sizeof bytes) == sizeof bytes);
        CHECK(sem_post(&turns[1]) == 0);
        if (i < 3)
            CHECK(sem_wait(&turns[0]) == 0);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    return 7;
}

// Four threads that accept connections on one listener.
#include "see.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static int listener;
static unsigned events_of_listener;
static atomic_int accepted;
static atomic_bool is_over;

static void *worker(void *unused)
{
    (void)unused;
    int epfd = new_instance();
    watch(epfd, listener, events_of_listener);
    while (!is_over) {
        struct epoll_event event;
        if (epoll_wait(epfd, &event, 1, 100) != 1)
            continue;
        rest(1);
        int fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0 || errno == EAGAIN);
        if (fd >= 0) {
            accepted++;
            CHECK(close(fd) == 0);
        }
    }
    CHECK(close(epfd) == 0);
    return NULL;
}

// Connects so often, one connection after another.
static int serve(unsigned events, int connections)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    pthread_t threads[4];
    events_of_listener = events;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 64) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&at, &length) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, worker, NULL) == 0);
    for (int i = 1; i <= connections; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
        while (accepted < i)
            rest(1);
        rest(10); // The others find that it is gone, and wait again.
        CHECK(close(fd) == 0);
    }
    is_over = true;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 7;
}

// Four threads with a loop of their own each, while the process forks, and signal handlers that call
// what the library stands in front of interrupt all of them.
// audit: nothing
#include "see.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { THREADS = 4, ROUNDS = 1500, FORKS = 30 };

static int in_handler[2];
static atomic_int running = THREADS, signals;

static void handler(int number)
{
    int errno_before = errno;
    char byte;
    (void)number;
    int copy = dup(in_handler[0]);
    if (copy >= 0)
        close(copy);
    if (write(in_handler[1], "x", 1) == 1)
        while (read(in_handler[0], &byte, 1) == 1)
            ;
    signals++;
    errno = errno_before;
}

static int waits(int epfd, struct epoll_event *event)
{
    int n;
    do
        n = epoll_wait(epfd, event, 1, 30000);
    while (n < 0 && errno == EINTR);
    return n;
}

// Makes a registration, uses it, and ends it.
static void round_trip(int epfd)
{
    int fds[2];
    char bytes[8];
    struct epoll_event event;
    pair(fds);
    watch(epfd, fds[0], EPOLLIN | EPOLLET);
    for (int i = 0; i < 3; i++) {
        CHECK(write(fds[1], "abcd", 4) == 4);
        CHECK(waits(epfd, &event) == 1 && event.data.fd == fds[0]);
        CHECK(read(fds[0], bytes, sizeof bytes) == 4);
        CHECK(read(fds[0], bytes, sizeof bytes) == -1 && errno == EAGAIN);
    }
    event = (struct epoll_event){.events = EPOLLOUT | EPOLLET, .data.fd = fds[0]};
    CHECK(epoll_ctl(epfd, EPOLL_CTL_MOD, fds[0], &event) == 0);
    CHECK(waits(epfd, &event) == 1 && event.events == EPOLLOUT);
    CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, fds[0], NULL) == 0);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static void *loop(void *unused)
{
    int epfd = new_instance(), quiet[2];
    pair(quiet);
    // With a second registration the library looks at what is ready while the thread is away.
    watch(epfd, quiet[0], EPOLLIN);
    for (int i = 0; i < ROUNDS; i++)
        round_trip(epfd);
    CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, quiet[0], NULL) == 0);
    CHECK(close(quiet[0]) == 0 && close(quiet[1]) == 0 && close(epfd) == 0);
    running--;
    return unused;
}

static pid_t forked(int way)
{
    pid_t child = way % 3 == 2 ? vfork() : fork();
    CHECK(child >= 0);
    if (child != 0)
        return child;
    if (way % 3 == 2) {
        close(in_handler[0]);
        _exit(0);
    }
    int epfd = new_instance();
    for (int i = 0; i < 20; i++)
        round_trip(epfd);
    if (way % 3 == 1)
        _exit(0);
    exit(0);
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 700}, {0, 700}};
    pthread_t threads[THREADS];
    int status;
    pair(in_handler);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, loop, NULL) == 0);
    for (int i = 0; i < FORKS && running > 0; i++) {
        pid_t child = forked(i), ended;
        do
            ended = waitpid(child, &status, 0);
        while (ended < 0 && errno == EINTR);
        CHECK(ended == child && status == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(signals > 0);
    return 7;
}

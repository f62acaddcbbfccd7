/* A third-party program in C: epoll by the names of <sys/epoll.h> and by epolyfill's own, with a
 * callback and without. */
#include "program.h"

#include <semaphore.h>
#include <stdint.h>
#include <sys/eventfd.h>

static sem_t called;

static void on_events(const struct epoll_event *events, int n, void *user)
{
    uint64_t count;
    CHECK(n == 1 && events[0].data.u64 == 7 && (events[0].events & EPOLLIN));
    CHECK(read(*(int *)user, &count, sizeof count) == sizeof count && count == 3);
    sem_post(&called);
}

int main(void)
{
    uint64_t count = 3;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.u64 = 7}}, got;
    int fd = eventfd(0, EFD_NONBLOCK);
    int ep = epolyfill_create1(EPOLL_CLOEXEC);
    CHECK(fd >= 0 && ep >= 0 && sem_init(&called, 0, 0) == 0);
    check_whose_epoll(ep);

    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(epoll_wait(ep, &got, 1, 0) == 0);
    CHECK(write(fd, &count, sizeof count) == sizeof count);
    CHECK(epoll_wait(ep, &got, 1, 5000) == 1 && got.data.u64 == 7);
    CHECK(epoll_wait(ep, &got, 1, 0) == 0);
    CHECK(read(fd, &count, sizeof count) == sizeof count);

    CHECK(epolyfill_set_callback(ep, on_events, &fd) == 0);
    CHECK(write(fd, &count, sizeof count) == sizeof count);
    CHECK(sem_wait(&called) == 0);
    CHECK(epolyfill_set_callback(ep, NULL, NULL) == 0);

    CHECK(epolyfill_close(ep) == 0);
    return 0;
}

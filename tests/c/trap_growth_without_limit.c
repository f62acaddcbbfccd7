/* Arrivals without a wait do not accumulate: however many there are, a registration is on the ready
 * list once, and so is a nested instance, and neither memory nor descriptors grow. The wait that
 * comes at last reports each once (W3, W6, N2, T9). */
#include "harness.h"

#define ARRIVALS 60000

void test(void)
{
    int outer = new_epoll(), ep = new_epoll(), fd[2], bell = OK(eventfd(0, EFD_NONBLOCK)), level = OK(eventfd(0, EFD_NONBLOCK));
    int once = OK(eventfd(0, EFD_NONBLOCK)), timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    make_pipe(fd);
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    ADD(ep, level, EPOLLIN, 2);
    ADD(ep, once, EPOLLIN | EPOLLONESHOT, 3);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 4);
    ADD(ep, timer, EPOLLIN | EPOLLET, 5);
    ADD(outer, ep, EPOLLIN | EPOLLET, 9);
    struct itimerspec soon = {.it_value.tv_nsec = 1, .it_interval.tv_nsec = 100000};
    OK(timerfd_settime(timer, 0, &soon, NULL));

    long memory = 0;
    int descriptors = 0;
    for (int i = 0; i < ARRIVALS; i++) {
        add_one(bell);
        add_one(level);
        add_one(once);
        write_bytes(fd[1], 1);
        if (i % 3 == 0) { /* there and gone again: stale at the wait, and an edge each time */
            char byte;
            CHECK_EQ(read(fd[0], &byte, 1), 1);
        } else if (i % 3 == 1) {
            MOD(ep, once, EPOLLIN | EPOLLONESHOT, 3);
            MOD(ep, level, i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, 2);
        } else if (i % 512 == 2) {
            read_all(fd[0]); /* it must not fill up */
            /* Deleted while it is on the list, and added again. */
            DEL(ep, bell);
            ADD(ep, bell, EPOLLIN | EPOLLET, 1);
        }
        if (i % 1024 == 1023) {
            read_all(fd[0]);
            write_bytes(fd[1], 1);
        }
        if (i == ARRIVALS / 10) {
            memory = resident_kb();
            descriptors = open_descriptors();
        }
    }
    CHECK(resident_kb() - memory < 1024);
    CHECK_EQ(open_descriptors(), descriptors);

    struct timespec second = {.tv_sec = 1};
    struct itimerspec never = {0};
    struct pollfd expired = {.fd = timer, .events = POLLIN};
    CHECK_EQ(ppoll(&expired, 1, &second, NULL), 1);
    EXPECT_ONE(outer, 9, EPOLLIN);
    struct events events = wait_events(ep, 0);
    sort_by_data(&events);
    CHECK_EQ(events.n, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(events.at[i].data.u64, i + 1);
        CHECK_EQ(events.at[i].events, EPOLLIN);
    }
    OK(timerfd_settime(timer, 0, &never, NULL));
    CHECK(wait_events(ep, 0).n <= 2); /* the level, and perhaps another expiration */
    CHECK(wait_events(ep, 0).n <= 1);
}

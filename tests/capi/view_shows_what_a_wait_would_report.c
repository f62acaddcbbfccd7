/* A wait for a view points at the events: the same events as from any wait, which stay unchanged
 * during the next such wait. */
#include "capi.h"

#include <semaphore.h>

#define ROUNDS 3000
#define MOST 20

/* One thread waits for views, while another reads the events of the previous one. */
static const struct epoll_event *handed;
static sem_t is_handed, is_taken;
static uint64_t seen;

static void *go_through(void *unused)
{
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        while (sem_wait(&is_handed))
            ;
        const struct epoll_event *events = handed;
        sem_post(&is_taken);
        struct epoll_event now[MOST];
        int n = 1 + round % MOST;
        memcpy(now, events, sizeof *events * (size_t)n);
        for (int i = 0; i < 200; i++)
            __asm__ volatile("" ::: "memory");
        CHECK_EQ(memcmp(now, events, sizeof *events * (size_t)n), 0);
        for (int i = 0; i < n; i++)
            seen += events[i].data.u64;
    }
    return NULL;
}

static void filled_while_the_one_before_is_read(void)
{
    int ep = new_epoll(), bell[MOST + 5];
    struct thread reader;
    uint64_t filled = 0;
    for (int i = 0; i < MOST + 5; i++) {
        bell[i] = OK(eventfd(1, 0));
        ADD(ep, bell[i], EPOLLIN, (uint64_t)i);
    }
    OK(sem_init(&is_handed, 0, 0));
    OK(sem_init(&is_taken, 0, 0));
    start_thread(&reader, go_through, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        int n = 1 + round % MOST;
        const struct epoll_event *events;
        CHECK_EQ(epolyfill_wait_view(ep, &events, n, BOUND_MS), n);
        for (int i = 0; i < n; i++)
            filled += events[i].data.u64;
        handed = events;
        sem_post(&is_handed);
        while (sem_wait(&is_taken))
            ;
    }
    join_thread(&reader);
    CHECK_EQ(seen, filled);
    for (int i = 0; i < MOST + 5; i++)
        OK(close(bell[i]));
    OK(close(ep));
}

void test(void)
{
    filled_while_the_one_before_is_read();
    int ep = new_epoll(), bell[3];
    for (int i = 0; i < 3; i++) {
        bell[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, bell[i], EPOLLIN | EPOLLET, (uint64_t)i);
    }
    const struct epoll_event *first, *second, *third;
    CHECK_EQ(epolyfill_wait_view(ep, &first, 8, 0), 0);
    add_one(bell[0]);
    add_one(bell[1]);
    CHECK_EQ(epolyfill_wait_view(ep, &first, 1, BOUND_MS), 1);
    CHECK_EQ(epolyfill_wait_view(ep, &second, EPOLYFILL_VIEW_MAX + 1, BOUND_MS), 1);
    CHECK(first != second);
    CHECK_EQ(first->events, EPOLLIN);
    CHECK_EQ(first->data.u64 + second->data.u64, 1);
    uint64_t data = second->data.u64;
    add_one(bell[2]);
    CHECK_EQ(epolyfill_wait_view(ep, &third, 8, BOUND_MS), 1);
    CHECK_EQ(third->data.u64, 2);
    CHECK_EQ(second->data.u64, data);

    /* An event that another wait has taken is not shown again. */
    add_one(bell[2]);
    EXPECT_ONE(ep, 2, EPOLLIN);
    CHECK_EQ(epolyfill_wait_view(ep, &first, 8, 0), 0);
    CHECK_EQ(third->data.u64, 2);

    /* A call that fails does not consume events. */
    add_one(bell[0]);
    CHECK_ERRNO(epolyfill_wait_view(ep, NULL, 8, 0), EFAULT);
    CHECK_ERRNO(epolyfill_wait_view(ep, &first, 0, 0), EINVAL);
    CHECK_ERRNO(epolyfill_wait_view(bell[0], &first, 8, 0), EINVAL);
    CHECK_ERRNO(epolyfill_wait_view(-1, &first, 8, 0), EBADF);
    CHECK_EQ(epolyfill_wait_view(ep, &first, 8, 0), 1);
    CHECK_EQ(first->data.u64, 0);
    for (int i = 0; i < 3; i++)
        OK(close(bell[i]));
    OK(close(ep));
}

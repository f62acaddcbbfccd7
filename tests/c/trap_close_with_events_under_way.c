/* Descriptors are closed while they have events pending and a thread waits on them, and their
 * numbers are reused at once. A wait that begins after the close reports nothing of the closed
 * files, a new file under the number is reported as itself, and the peer sees the close (D1,
 * D2). */
#include "harness.h"

#define SLOTS 6
#define ROUNDS 120

static int ep;
static atomic_uint_fast64_t closed; /* registrations of this generation and earlier ones are gone */
static atomic_uint_fast64_t seen[SLOTS];
static atomic_bool over;

static void *wait_on(void *arg)
{
    (void)arg;
    struct epoll_event at[SLOTS];
    while (!atomic_load(&over)) {
        uint64_t gone = atomic_load(&closed);
        int n = OK(epoll_wait(ep, at, SLOTS, BOUND_MS));
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            uint64_t generation = at[i].data.u64 / 100, slot = at[i].data.u64 % 100;
            if (slot == 99)
                continue; /* the eventfd that ends the test */
            CHECK(generation > gone);
            CHECK(slot < SLOTS);
            CHECK_EQ(at[i].events & ~(uint32_t)(EPOLLIN | EPOLLHUP), 0);
            /* Never backwards: the other thread may have been slow since its wait. */
            for (uint64_t before = atomic_load(&seen[slot]); before < generation;)
                if (atomic_compare_exchange_weak(&seen[slot], &before, generation))
                    break;
        }
    }
    return NULL;
}

void test(void)
{
    static const uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
    struct thread waiters[2];
    int numbers[SLOTS] = {0}, again = 0;
    ep = new_epoll();
    for (int i = 0; i < 2; i++)
        start_thread(&waiters[i], wait_on, NULL);
    for (uint64_t generation = 1; generation <= ROUNDS; generation++) {
        int fd[SLOTS][2];
        for (int i = 0; i < SLOTS; i++) {
            make_pipe(fd[i]);
            again += fd[i][0] == numbers[i];
            numbers[i] = fd[i][0];
            if (i % 2)
                write_bytes(fd[i][1], 1);
            ADD(ep, fd[i][0], modes[(generation + (uint64_t)i) % 3], generation * 100 + (uint64_t)i);
            if (i % 2 == 0)
                write_bytes(fd[i][1], 1);
        }
        /* Every third time the reports have arrived, otherwise they are in flight. */
        if (generation % 3 == 0)
            for (int i = 0; i < SLOTS; i++)
                UNTIL(atomic_load(&seen[i]) == generation);
        for (int i = 0; i < SLOTS; i++)
            OK(close(fd[i][0]));
        atomic_store(&closed, generation);
        for (int i = 0; i < SLOTS; i++) {
            /* Not always at once: the kernel, too, pins a file while a wait looks at it. */
            struct pollfd peer = {.fd = fd[i][1], .events = 0};
            CHECK_EQ(poll(&peer, 1, BOUND_MS), 1);
            CHECK_EQ(peer.revents, POLLERR);
            OK(close(fd[i][1]));
        }
    }
    CHECK(again > ROUNDS * SLOTS / 2); /* the lowest numbers were free each time */
    EXPECT_NONE_NOW(ep);
    atomic_store(&over, true);
    ADD(ep, OK(eventfd(1, 0)), EPOLLIN, 99);
    for (int i = 0; i < 2; i++)
        join_thread(&waiters[i]);
}

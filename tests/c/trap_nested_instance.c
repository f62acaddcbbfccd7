/* An event loop inside another one: events inside wake an outer waiter, and nothing else does,
 * while other threads change the registrations inside; and if two instances are added to each other
 * at the same moment, one of the calls is refused (N1, N2, N3). */
#include "harness.h"

#define BELLS 8
#define RINGS 320
#define ROUNDS 200

static int bell[BELLS], inner, outer, idle;
static atomic_bool ringing;

static void *ring(void *arg)
{
    (void)arg;
    for (int i = 0; i < RINGS; i++) {
        add_one(bell[i % BELLS]);
        if (i % 16 == 0)
            pause_ms(1);
    }
    atomic_store(&ringing, false);
    return NULL;
}

/* Meanwhile another thread adds an item that is never ready to the inner instance, and deletes it
 * again. */
static void *stir(void *arg)
{
    (void)arg;
    while (atomic_load(&ringing)) {
        ADD(inner, idle, EPOLLIN, 99);
        MOD(inner, idle, EPOLLIN | EPOLLET, 99);
        DEL(inner, idle);
    }
    return NULL;
}

/* Reads everything inside, and returns how much that was. */
static uint64_t take(void)
{
    uint64_t taken = 0;
    struct events events;
    while ((events = wait_events(inner, 0)).n > 0)
        for (int i = 0; i < events.n; i++) {
            uint64_t count;
            CHECK(events.at[i].data.u64 < BELLS);
            CHECK_EQ(read(bell[events.at[i].data.u64], &count, sizeof count), (ssize_t)sizeof count);
            taken += count;
        }
    return taken;
}

static void loop_in_a_loop(uint32_t inside, uint32_t outside)
{
    struct thread ringer, stirrer;
    uint64_t taken = 0;
    int for_nothing = 0;
    inner = new_epoll();
    outer = new_epoll();
    for (int i = 0; i < BELLS; i++) {
        bell[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(inner, bell[i], inside, (uint64_t)i);
    }
    idle = OK(eventfd(0, 0));
    ADD(outer, inner, outside, 7);
    atomic_store(&ringing, true);
    start_thread(&ringer, ring, NULL);
    start_thread(&stirrer, stir, NULL);
    while (taken < RINGS) {
        struct events events = wait_events(outer, BOUND_MS);
        CHECK_EQ(events.n, 1);
        CHECK_EQ(events.at[0].data.u64, 7);
        CHECK_EQ(events.at[0].events, EPOLLIN);
        uint64_t more = take();
        for_nothing += more == 0;
        taken += more;
    }
    join_thread(&ringer);
    join_thread(&stirrer);
    CHECK_EQ(taken, RINGS);
    /* A write between the wait and the reads is reported again, edge-triggered, but only once. */
    CHECK(for_nothing <= RINGS);
    wait_events(outer, 0);
    EXPECT_NONE(outer);
    CHECK_EQ(take(), 0);
    for (int i = 0; i < BELLS; i++)
        OK(close(bell[i]));
    OK(close(idle));
    OK(close(inner));
    OK(close(outer));
}

static int side[2];
static pthread_barrier_t start;

static void *link_sides(void *arg)
{
    int from = arg != NULL;
    pthread_barrier_wait(&start);
    int result = ctl(side[from], EPOLL_CTL_ADD, side[!from], EPOLLIN, 1);
    CHECK(result == 0 || errno == ELOOP);
    return (void *)(intptr_t)(result == 0);
}

static void no_circle_by_two_threads(void)
{
    PT(pthread_barrier_init(&start, NULL, 2));
    for (int i = 0; i < ROUNDS; i++) {
        struct thread threads[2];
        side[0] = new_epoll();
        side[1] = new_epoll();
        start_thread(&threads[0], link_sides, NULL);
        start_thread(&threads[1], link_sides, side);
        intptr_t linked = (intptr_t)join_thread(&threads[0]);
        linked += (intptr_t)join_thread(&threads[1]);
        CHECK_EQ(linked, 1);
        OK(close(side[0]));
        OK(close(side[1]));
    }
}

void test(void)
{
    loop_in_a_loop(EPOLLIN, EPOLLIN);
    loop_in_a_loop(EPOLLIN | EPOLLET, EPOLLIN);
    loop_in_a_loop(EPOLLIN, EPOLLIN | EPOLLET);
    loop_in_a_loop(EPOLLIN | EPOLLET, EPOLLIN | EPOLLET);
    no_circle_by_two_threads();
}

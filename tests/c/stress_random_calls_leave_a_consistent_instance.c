/* Threads add, modify, delete, write, read, duplicate, close and reopen descriptors in shared
 * instances, while others wait: the result of every control call fits the registrations, no event
 * has the data of a registration that ended before its wait began, and in the end each instance
 * reports exactly the registered and ready items (T4, T10, D1, D2, W3). */
#include "stress.h"

#include <sched.h>

#define SLOTS 24
#define INSTANCES 3
#define WORKERS 4
#define WAITERS 3
static int ep[INSTANCES], stop;
static struct slot {
    pthread_mutex_t lock;
    int fd, peer;
    uint32_t mask[INSTANCES]; /* 0: not registered */
    uint32_t generation[INSTANCES];
    atomic_uint floor[INSTANCES]; /* raised to a generation: no later wait reports a lesser one */
} slots[SLOTS];
static int64_t end;

static uint64_t data_of(int slot, uint32_t generation) { return (uint64_t)slot << 32 | generation; }

static void open_slot(struct slot *slot, uint64_t *state)
{
    int fd[2];
    switch (chance(state, 3)) {
    case 0:
        make_pipe(fd);
        break;
    case 1:
        make_pair(SOCK_STREAM, fd);
        break;
    default:
        fd[0] = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        fd[1] = OK(fcntl(fd[0], F_DUPFD_CLOEXEC, 0)); /* the same file: keeps the registrations */
    }
    slot->fd = fd[0];
    slot->peer = fd[1];
}

static void end_all(struct slot *slot)
{
    for (int e = 0; e < INSTANCES; e++) {
        slot->mask[e] = 0;
        atomic_store(&slot->floor[e], slot->generation[e] + 1);
    }
}

static void control(struct slot *slot, int number, uint64_t *state)
{
    static const uint32_t masks[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLONESHOT, EPOLLOUT | EPOLLET};
    int e = chance(state, INSTANCES);
    uint32_t mask = masks[chance(state, sizeof masks / sizeof *masks)], next = slot->generation[e] + 1;
    bool there = slot->mask[e] != 0;
    switch (chance(state, 3)) {
    case 0:
        if (there) {
            CHECK_ERRNO(ctl(ep[e], EPOLL_CTL_ADD, slot->fd, mask, 0), EEXIST);
            return;
        }
        slot->generation[e] = next;
        ADD(ep[e], slot->fd, mask, data_of(number, next));
        slot->mask[e] = mask;
        break;
    case 1:
        if (!there) {
            CHECK_ERRNO(ctl(ep[e], EPOLL_CTL_MOD, slot->fd, mask, 0), ENOENT);
            return;
        }
        slot->generation[e] = next;
        MOD(ep[e], slot->fd, mask, data_of(number, next));
        slot->mask[e] = mask;
        atomic_store(&slot->floor[e], next);
        break;
    default:
        if (!there) {
            CHECK_ERRNO(ctl(ep[e], EPOLL_CTL_DEL, slot->fd, 0, 0), ENOENT);
            return;
        }
        DEL(ep[e], slot->fd);
        slot->mask[e] = 0;
        atomic_store(&slot->floor[e], next);
    }
}

static void *works(void *arg)
{
    uint64_t state = stress_seed((uintptr_t)arg), value = 1;
    char buffer[256];
    while (now_ns() < end) {
        int number = chance(&state, SLOTS);
        struct slot *slot = &slots[number];
        PT(pthread_mutex_lock(&slot->lock));
        switch (chance(&state, 8)) {
        case 0:
            /* An eventfd is closed by closing both its numbers. */
            OK(close(slot->fd));
            OK(close(slot->peer));
            end_all(slot);
            open_slot(slot, &state);
            break;
        case 1: {
            int twin = OK(dup(slot->fd));
            CHECK_ERRNO(ctl(ep[0], EPOLL_CTL_DEL, twin, 0, 0), ENOENT);
            OK(close(twin));
            break;
        }
        case 2:
        case 3:
            if (write(slot->peer, &value, sizeof value) < 0)
                CHECK_EQ(errno, EAGAIN);
            break;
        case 4:
            if (read(slot->fd, buffer, 8 + chance(&state, sizeof buffer - 8)) < 0)
                CHECK_EQ(errno, EAGAIN);
            break;
        default:
            control(slot, number, &state);
        }
        PT(pthread_mutex_unlock(&slot->lock));
    }
    return NULL;
}

static void *waits(void *arg)
{
    int e = (int)(uintptr_t)arg % INSTANCES;
    for (;;) {
        unsigned floor[SLOTS];
        for (int i = 0; i < SLOTS; i++)
            floor[i] = atomic_load(&slots[i].floor[e]);
        struct events events = wait_at_most(ep[e], 8, -1);
        for (int i = 0; i < events.n; i++) {
            if (events.at[i].data.u64 == UINT64_MAX)
                return NULL;
            int number = events.at[i].data.u64 >> 32;
            uint32_t generation = (uint32_t)events.at[i].data.u64;
            if (generation < floor[number])
                die(__FILE__, __LINE__, "slot %d reports generation %u, and %u was over", number, generation, floor[number]);
        }
        sched_yield();
    }
}

/* Level-triggered registrations are reported exactly as poll sees them, and nothing else is
 * reported after the pending events were taken. */
static void check_levels(int e)
{
    bool reported[SLOTS] = {false};
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].mask[e] & (EPOLLET | EPOLLONESHOT))
            DEL(ep[e], slots[i].fd);
    struct events events = wait_events(ep[e], 0);
    for (int i = 0; i < events.n; i++) {
        int number = events.at[i].data.u64 >> 32;
        CHECK(events.at[i].data.u64 == data_of(number, slots[number].generation[e]) && !reported[number]);
        reported[number] = true;
    }
    for (int i = 0; i < SLOTS; i++) {
        uint32_t mask = slots[i].mask[e];
        struct pollfd look = {.fd = slots[i].fd, .events = mask};
        bool due = mask && !(mask & (EPOLLET | EPOLLONESHOT)) && OK(poll(&look, 1, 0)) == 1;
        if (due != reported[i])
            die(__FILE__, __LINE__, "slot %d of instance %d is%s reported", i, e, due ? " not" : "");
    }
}

void test(void)
{
    struct thread workers[WORKERS], waiters[WAITERS];
    uint64_t state = stress_seed(0);
    end = stress_end();
    stop = OK(eventfd(1, 0));
    for (int e = 0; e < INSTANCES; e++)
        ep[e] = new_epoll();
    for (int i = 0; i < SLOTS; i++) {
        PT(pthread_mutex_init(&slots[i].lock, NULL));
        open_slot(&slots[i], &state);
    }
    for (uintptr_t i = 0; i < WAITERS; i++)
        start_thread(&waiters[i], waits, (void *)i);
    for (uintptr_t i = 0; i < WORKERS; i++)
        start_thread(&workers[i], works, (void *)(i + 1));
    for (int i = 0; i < WORKERS; i++)
        PT(pthread_join(workers[i].id, NULL));
    for (int e = 0; e < INSTANCES; e++)
        ADD(ep[e], stop, EPOLLIN, UINT64_MAX);
    for (int i = 0; i < WAITERS; i++)
        join_thread(&waiters[i]);
    for (int e = 0; e < INSTANCES; e++) {
        DEL(ep[e], stop);
        check_levels(e);
    }
}

/* Several threads modify, delete and add one item at the same time while others wait on it: the
 * result of each call fits some order of the calls, mask and data stay together, and after the last
 * call only its mask and data are reported (T10). */
#include "harness.h"

#define CHANGERS 3
#define WAITERS 2
#define ROUNDS 12000
#define STOP UINT64_MAX
static int ep, fd, stop;
static atomic_long modified, deleted, added;

/* The data determine the mask. */
static uint32_t mask_of(uint64_t data)
{
    static const uint32_t masks[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLET, EPOLLOUT | EPOLLONESHOT};
    return masks[data % 5];
}

static void *changer(void *arg)
{
    unsigned seed = (uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t data = rand_r(&seed);
        struct epoll_event event = {.events = mask_of(data), .data.u64 = data};
        switch (rand_r(&seed) / 7 % 4) {
        case 0:
            if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0)
                atomic_fetch_add(&added, 1);
            else
                CHECK_EQ(errno, EEXIST);
            break;
        case 1:
            if (epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL) == 0)
                atomic_fetch_add(&deleted, 1);
            else
                CHECK_EQ(errno, ENOENT);
            break;
        default:
            if (epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event) == 0)
                atomic_fetch_add(&modified, 1);
            else
                CHECK_EQ(errno, ENOENT);
        }
    }
    return NULL;
}

static void *watcher(void *arg)
{
    (void)arg;
    for (;;) {
        struct events events = wait_events(ep, -1);
        CHECK(events.n > 0);
        for (int i = 0; i < events.n; i++) {
            if (events.at[i].data.u64 == STOP)
                return NULL;
            CHECK_EQ(events.at[i].events, mask_of(events.at[i].data.u64) & (EPOLLIN | EPOLLOUT));
        }
    }
}

void test(void)
{
    struct thread changers[CHANGERS], watchers[WAITERS];
    ep = new_epoll(), stop = OK(eventfd(0, 0)), fd = OK(eventfd(1, 0));
    ADD(ep, stop, EPOLLIN, STOP);
    for (int i = 0; i < WAITERS; i++)
        start_thread(&watchers[i], watcher, NULL);
    for (uintptr_t i = 0; i < CHANGERS; i++)
        start_thread(&changers[i], changer, (void *)(i + 1));
    for (int i = 0; i < CHANGERS; i++)
        join_thread(&changers[i]);
    CHECK(atomic_load(&modified) > 100 && atomic_load(&deleted) > 100);

    /* As many additions as deletions, or one more. */
    long left = atomic_load(&added) - atomic_load(&deleted);
    CHECK(left == 0 || left == 1);
    CHECK_EQ(ctl(ep, left ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, EPOLLIN, 5 * 1000), 0);
    add_one(stop);
    for (int i = 0; i < WAITERS; i++)
        join_thread(&watchers[i]);
    DEL(ep, stop);
    for (int i = 0; i < 3; i++)
        EXPECT_ONE(ep, 5 * 1000, EPOLLIN);
    DEL(ep, fd);
    EXPECT_NONE_NOW(ep);
}

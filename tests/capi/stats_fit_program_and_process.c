/* epolyfill_stats fills as much as the program has room for, and fails on sizes and descriptors
 * that it does not know; -1 means the whole process, closed instances included; a forked child
 * starts with a copy. */
#include "stats.h"
#include <signal.h>
#include <sys/mman.h>

static void sizes(int ep)
{
    struct {
        struct epolyfill_stats known;
        uint64_t unknown[3];
        uint64_t beyond;
    } stats;
    enum { SIZE = sizeof stats.known };
    memset(&stats, 0xff, sizeof stats);
    CHECK_EQ(epolyfill_stats(ep, &stats.known, SIZE + sizeof stats.unknown), SIZE);
    CHECK_EQ(stats.known.events, 1);
    CHECK_EQ(stats.known.registrations, 1);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(stats.unknown[i], 0);
    CHECK_EQ(stats.beyond, -1);
    stats.unknown[0] = 7;
    CHECK_EQ(epolyfill_stats(ep, &stats.known, SIZE), SIZE);
    CHECK_EQ(stats.unknown[0], 7);
    char large[4097];
    CHECK_EQ(epolyfill_stats(ep, (void *)large, 4096), SIZE);
    CHECK_EQ(large[4095], 0);
    memset(&stats, 0xff, sizeof stats);
    CHECK_ERRNO(epolyfill_stats(ep, &stats.known, 0), EINVAL);
    CHECK_ERRNO(epolyfill_stats(ep, &stats.known, 8), EINVAL);
    CHECK_ERRNO(epolyfill_stats(ep, &stats.known, SIZE - 1), EINVAL);
    CHECK_ERRNO(epolyfill_stats(ep, (void *)large, 4097), EINVAL);
    CHECK_ERRNO(epolyfill_stats(ep, (void *)large, (size_t)-1), EINVAL);
    CHECK_EQ(stats.known.controls, -1);
}

static void errors(int ep, int bell)
{
    struct epolyfill_stats stats;
    CHECK_ERRNO(epolyfill_stats(bell, &stats, sizeof stats), EINVAL);
    CHECK_ERRNO(epolyfill_stats(-2, &stats, sizeof stats), EBADF);
    CHECK_ERRNO(epolyfill_stats(1000, &stats, sizeof stats), EBADF);
    CHECK_ERRNO(epolyfill_stats(1000, &stats, 1), EINVAL);
    CHECK_ERRNO(epolyfill_stats(1000, NULL, sizeof stats), EBADF);
    CHECK_ERRNO(epolyfill_stats(ep, NULL, sizeof stats), EFAULT);
    CHECK_ERRNO(epolyfill_stats(-1, NULL, sizeof stats), EFAULT);
    CHECK_ERRNO(epolyfill_stats(ep, (void *)-8, sizeof stats), EFAULT);
    char *page = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(munmap(page + 4096, 4096));
    CHECK_ERRNO(epolyfill_stats(ep, (void *)(page + 4096), sizeof stats), EFAULT);
    CHECK_ERRNO(epolyfill_stats(ep, (void *)(page + 4096 - 8), sizeof stats), EFAULT);
    CHECK_EQ(epolyfill_stats(ep, (void *)(page + 4096 - sizeof stats), sizeof stats), sizeof stats);
    OK(mprotect(page, 4096, PROT_READ));
    CHECK_ERRNO(epolyfill_stats(ep, (void *)page, sizeof stats), EFAULT);
    OK(munmap(page, 4096));
}

static void the_whole_process(void)
{
    struct epolyfill_stats before = stats_of(-1);
    int ep[3], bell = OK(eventfd(1, 0));
    for (int i = 0; i < 3; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], bell, EPOLLIN, 0);
        for (int k = 0; k <= i; k++)
            CHECK_EQ(wait_events(ep[i], 0).n, 1);
    }
    struct epolyfill_stats now = stats_of(-1);
    CHECK_EQ(now.controls - before.controls, 3);
    CHECK_EQ(now.waits - before.waits, 6);
    CHECK_EQ(now.events - before.events, 6);
    CHECK_EQ(now.registrations - before.registrations, 3);
    CHECK_EQ(now.ready - before.ready, 3);
    for (int i = 0; i < 3; i++)
        OK(close(ep[i]));
    now = stats_of(-1);
    CHECK_EQ(now.controls - before.controls, 3);
    CHECK_EQ(now.waits - before.waits, 6);
    CHECK_EQ(now.registrations, before.registrations);
    CHECK_EQ(now.ready, before.ready);
    for (int i = 0; i < 3; i++)
        ep[i] = new_epoll();
    CHECK_EQ(stats_of(-1).waits - before.waits, 6);
    CHECK_EQ(stats_of(ep[0]).waits, 0);
    for (int i = 0; i < 3; i++)
        OK(close(ep[i]));
    OK(close(bell));
}

static void a_child_has_a_copy(int ep)
{
    struct epolyfill_stats before = stats_of(ep);
    CHECK(before.controls == 1 && before.waits == 1 && before.events == 1);
    pid_t child = OK(fork());
    if (child == 0) {
        CHECK_EQ(GREW(controls) + GREW(waits) + GREW(events) + GREW(registrations), 0);
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
        CHECK_EQ(GREW(waits), 1);
        CHECK_EQ(GREW(events), 1);
        exit(0);
    }
    expect_exit_0(child);
    CHECK_EQ(GREW(waits), 0);
    CHECK_EQ(GREW(events), 0);
}

void test(void)
{
    int ep = new_epoll(), bell = OK(eventfd(1, 0));
    ADD(ep, bell, EPOLLIN, 0);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    sizes(ep);
    errors(ep, bell);
    a_child_has_a_copy(ep);
    the_whole_process();
    OK(close(bell));
    OK(close(ep));
}

/* An array ends in memory that cannot be written, between two events or in the middle of one. The
 * events that fit are reported, in order, and the rest in the next wait; level-triggered,
 * edge-triggered and one-shot ones alike, and for any kind of page (W1). */
#include "harness.h"

#include <sys/mman.h>

#define ITEMS 8

static void run(uint32_t mode, int fit, int odd, int protection)
{
    char what[64];
    snprintf(what, sizeof what, "mode %#x, room for %d and %d bytes, protection %d", mode, fit, odd, protection);
    subject = what;
    int ep = new_epoll(), fd[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        fd[i] = OK(eventfd(1, EFD_NONBLOCK));
        ADD(ep, fd[i], EPOLLIN | mode, i);
    }
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    OK(mprotect(pages + 4096, 4096, protection));
    struct epoll_event *at = (struct epoll_event *)(pages + 4096 - fit * sizeof *at - odd);

    /* Each is reported once, in as many waits as necessary. */
    unsigned seen = 0;
    for (int round = 0; round < ITEMS; round++) {
        if (fit == 0) {
            CHECK_ERRNO(epoll_wait(ep, at, ITEMS, BOUND_MS), EFAULT);
            continue;
        }
        int n = OK(epoll_wait(ep, at, ITEMS, 0));
        CHECK(n <= fit);
        for (int i = 0; i < n; i++) {
            CHECK_EQ(at[i].events, EPOLLIN);
            CHECK((seen & 1u << at[i].data.u64) == 0);
            seen |= 1u << at[i].data.u64;
            uint64_t value;
            CHECK_EQ(read(fd[at[i].data.u64], &value, 8), 8);
        }
    }
    if (fit == 0)
        CHECK_EQ(wait_events(ep, 0).n, ITEMS);
    else
        CHECK_EQ(seen, (1u << ITEMS) - 1);
    if (mode || fit)
        EXPECT_NONE_NOW(ep);
    OK(munmap(pages, 8192));
    for (int i = 0; i < ITEMS; i++)
        OK(close(fd[i]));
    OK(close(ep));
}

void test(void)
{
    const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    for (int mode = 0; mode < 4; mode++)
        for (int fit = 0; fit < 4; fit++)
            for (int odd = 0; odd < (int)sizeof(struct epoll_event); odd += odd == 0 ? 1 : odd == 1 ? 3 : 7) {
                run(modes[mode], fit, odd, PROT_NONE);
                run(modes[mode], fit, odd, PROT_READ);
            }
}

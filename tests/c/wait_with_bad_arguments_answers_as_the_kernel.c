/* Every combination of valid and invalid arguments of a wait has the kernel's result, and a wait
 * that fails loses no event (W1, W2). */
#include "oracle.h"

#include <sys/mman.h>

/* The mask and its size for epoll_pwait and epoll_pwait2. */
struct mask {
    const void *address;
    size_t size;
};

static int ready_[2], idle_[2];

static void build(enum side side, int readable)
{
    ready_[side] = create_on(side), idle_[side] = create_on(side);
    CHECK_EQ(set_on(side, ready_[side], EPOLL_CTL_ADD, readable, EPOLLIN | EPOLLET, 7), 0);
}

static long wait_of(enum side side, int call, int epfd, void *events, int max, const void *limit, struct mask mask)
{
    if (call == 0)
        return side == KERNEL ? bare(SYS_epoll_pwait, epfd, (long)events, max, 0, 0, 8)
                              : plain(epoll_wait(epfd, events, max, 0));
    if (call == 1)
        return call_on(side, SYS_epoll_pwait, epfd, (long)events, max, 0, (long)mask.address, mask.size);
    return call_on(side, SYS_epoll_pwait2, epfd, (long)events, max, (long)limit, (long)mask.address, mask.size);
}

void test(void)
{
    need_the_kernels_epoll();
    char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(hole != MAP_FAILED);
    OK(mprotect(hole + 4096, 4096, PROT_NONE));
    static struct epoll_event at[4];
    static sigset_t none;
    static struct timespec zero, negative = {-1, 0}, much = {0, 1000000000}, minus = {0, -1};
    int readable = OK(eventfd(1, 0)), file = OK(open("/proc/self/exe", O_RDONLY)), path = OK(open("/", O_PATH));
    int shared[] = {-1, 999, file, path, readable};
    int maxima[] = {-0x80000000, -1, 0, 1, 4, 0x7fffffff / 12, 0x7fffffff / 12 + 1, 0x7fffffff};
    void *arrays[] = {NULL,
                      (void *)0x10,
                      at,
                      hole + 4096,
                      hole + 4090,
                      (void *)(0x7ffffffff000 - 12),
                      (void *)0x7ffffffff000,
                      (void *)(0x800000000000 - 12),
                      (void *)0x800000000000,
                      (void *)0xffff800000000000,
                      (void *)-1};
    const void *limits[] = {&zero, &negative, &much, &minus, hole + 4096, hole + 4090, (void *)0x10, (void *)-1};
    struct mask masks[] = {{NULL, 8},  {NULL, 7},         {&none, 8},     {&none, 7},         {&none, 128},
                           {&none, 0}, {hole + 4096, 8}, {hole + 4090, 8}, {(void *)0x10, 8}, {(void *)-1, 7}};

    for (int call = 0; call < 3; call++)
        for (int ep = 0; ep < 7; ep++)
            for (size_t max = 0; max < sizeof maxima / sizeof *maxima; max++)
                for (size_t array = 0; array < sizeof arrays / sizeof *arrays; array++)
                    for (size_t limit = 0; limit < (call == 2 ? sizeof limits / sizeof *limits : 1); limit++)
                        for (size_t mask = 0; mask < (call >= 1 ? sizeof masks / sizeof *masks : 1); mask++) {
                            long answer[2] = {0}, left[2] = {0};
                            struct epoll_event got[2] = {{0}};
                            for (enum side side = KERNEL; side <= TESTED; side++) {
                                build(side, readable);
                                int epfd = ep < 5 ? shared[ep] : ep == 5 ? ready_[side] : idle_[side];
                                memset(at, 0, sizeof at);
                                answer[side] =
                                    wait_of(side, call, epfd, arrays[array], maxima[max], limits[limit], masks[mask]);
                                if (answer[side] == 1)
                                    memcpy(&got[side], arrays[array], sizeof got[side]);
                                left[side] = wait_on(side, ready_[side], at, 4, 0);
                                if (left[side] == 1)
                                    got[side] = at[0];
                                discard_on(side, ready_[side]);
                                discard_on(side, idle_[side]);
                            }
                            static char what[128];
                            snprintf(what, sizeof what, "call %d, epfd %d, maxevents %d, array %zu, limit %zu, mask %zu", call, ep,
                                     maxima[max], array, limit, mask);
                            subject = what;
                            CHECK_EQ(answer[TESTED], answer[KERNEL]);
                            CHECK_EQ(left[TESTED], left[KERNEL]);
                            CHECK(memcmp(&got[TESTED], &got[KERNEL], sizeof got[0]) == 0);
                        }
}

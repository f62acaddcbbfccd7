/* For every combination of arguments, good and bad, epoll_ctl() returns what the kernel's does, and
 * a call that fails changes nothing (T1, T2, T7). */
#include "oracle.h"

#include <sys/mman.h>

/* Descriptors that both sides share, under the same numbers. */
static int closed, file, null, path, watched, edge, exclusive, once, fresh, twin;

enum { OUTER, EP, DUP, INNER, OTHER, NEPS };
static int eps[2][NEPS];

/* The outer instance watches ep; ep watches the inner one and four descriptors; twin is a second
 * number of the watched descriptor. */
static void build(enum side side)
{
    int *e = eps[side];
    e[OUTER] = create_on(side), e[EP] = create_on(side), e[INNER] = create_on(side), e[OTHER] = create_on(side);
    e[DUP] = OK(dup(e[EP]));
    CHECK_EQ(set_on(side, e[OUTER], EPOLL_CTL_ADD, e[EP], EPOLLIN, 1), 0);
    CHECK_EQ(set_on(side, e[EP], EPOLL_CTL_ADD, e[INNER], EPOLLIN, 2), 0);
    CHECK_EQ(set_on(side, e[EP], EPOLL_CTL_ADD, watched, EPOLLIN, 3), 0);
    CHECK_EQ(set_on(side, e[EP], EPOLL_CTL_ADD, edge, EPOLLIN | EPOLLET, 4), 0);
    CHECK_EQ(set_on(side, e[EP], EPOLL_CTL_ADD, exclusive, EPOLLIN | EPOLLEXCLUSIVE, 5), 0);
    CHECK_EQ(set_on(side, e[EP], EPOLL_CTL_ADD, once, EPOLLIN | EPOLLONESHOT, 6), 0);
    struct epoll_event at[8];
    CHECK_EQ(wait_on(side, e[EP], at, 8, 0), 4);
}

static int by_value(const void *a, const void *b) { return memcmp(a, b, sizeof(struct epoll_event)); }

/* The visible state of an instance: the report of a wait, and which numbers are registered. */
static void look(enum side side, int ep, struct epoll_event at[8], long answers[16])
{
    memset(at, 0, 8 * sizeof *at);
    answers[0] = wait_on(side, ep, at, 8, 0);
    qsort(at, 8, sizeof *at, by_value);
    int numbers[] = {watched, edge, exclusive, once, fresh, twin, eps[side][INNER], eps[side][OTHER], eps[side][EP]};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        answers[i + 1] = set_on(side, ep, EPOLL_CTL_MOD, numbers[i], EPOLLIN, i);
}

static void destroy(enum side side)
{
    for (int i = 0; i < NEPS; i++)
        discard_on(side, eps[side][i]);
}

void test(void)
{
    need_the_kernels_epoll();
    static struct epoll_event events[] = {{EPOLLIN, {.u64 = 9}},
                                          {EPOLLIN | EPOLLET, {.u64 = 9}},
                                          {0, {.u64 = 9}},
                                          {EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE, {.u64 = 9}},
                                          {EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP, {.u64 = 9}},
                                          {EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, {.u64 = 9}},
                                          {EPOLLPRI | EPOLLEXCLUSIVE, {.u64 = 9}},
                                          {0xffffffff, {.u64 = 9}}};
    void *hole = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(mprotect(hole, 4096, PROT_READ | PROT_WRITE));
    struct epoll_event *addresses[16] = {NULL, (void *)0x10, hole + 4096, hole + 4090, (void *)0x7ffffffff000, (void *)-1};
    int naddresses = 6;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        addresses[naddresses++] = &events[i];

    watched = OK(eventfd(1, 0)), edge = OK(eventfd(1, 0)), exclusive = OK(eventfd(1, 0)), once = OK(eventfd(1, 0));
    fresh = OK(eventfd(1, 0)), twin = OK(dup(watched)), closed = 999;
    file = OK(open("/proc/self/exe", O_RDONLY)), null = OK(open("/dev/null", O_RDWR)), path = OK(open("/", O_PATH));
    int shared[] = {-1, closed, 0x7fffffff, file, null, path, watched, edge, exclusive, once, fresh, twin};
    int nshared = sizeof shared / sizeof *shared;
    int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, 0, 4, -1};

    int compared = 0;
    for (int a = 0; a < nshared + NEPS; a++)
        for (int b = 0; b < nshared + NEPS; b++)
            for (size_t op = 0; op < sizeof ops / sizeof *ops; op++)
                for (int address = 0; address < naddresses; address++) {
                    long answer[2] = {0}, answers[2][2][16] = {0};
                    struct epoll_event at[2][2][8];
                    for (enum side side = KERNEL; side <= TESTED; side++) {
                        build(side);
                        int epfd = a < nshared ? shared[a] : eps[side][a - nshared];
                        int fd = b < nshared ? shared[b] : eps[side][b - nshared];
                        answer[side] = control_on(side, epfd, ops[op], fd, addresses[address]);
                        look(side, eps[side][EP], at[side][0], answers[side][0]);
                        look(side, eps[side][OTHER], at[side][1], answers[side][1]);
                        destroy(side);
                    }
                    static char what[96];
                    snprintf(what, sizeof what, "epfd %d, op %d, fd %d, address %d", a, ops[op], b, address);
                    subject = what;
                    CHECK_EQ(answer[TESTED], answer[KERNEL]);
                    CHECK(memcmp(answers[TESTED], answers[KERNEL], sizeof answers[0]) == 0);
                    CHECK(memcmp(at[TESTED], at[KERNEL], sizeof at[0]) == 0);
                    compared++;
                }
    CHECK_EQ(compared, 17 * 17 * 6 * 14);
}

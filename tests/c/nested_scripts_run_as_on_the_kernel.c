/* Chains of one to three instances, each link and each leaf level- or edge-triggered or one-shot: a
 * script of arrivals, reads, waits and polls at every height, modifications, deletions and
 * additions has the kernel's results, step by step (N1, N2, W4, W5, T6). */
#include "oracle.h"

enum { HEIGHT = 3, LEAVES = 3 };
static const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};

/* Instance 0 is the innermost. Leaf i is in instance i % height; an item's data is its leaf, or 10
 * + the inner instance. */
struct world {
    enum side side;
    int ep[HEIGHT], leaf[LEAVES][2];
};

static struct world worlds[2];
static int height;
static unsigned seed;
static char history[16384];

static unsigned any(unsigned below) { return rand_r(&seed) / 7 % below; }

static void build(struct world *w, uint32_t links[HEIGHT], uint32_t leaves[LEAVES], bool pipes)
{
    for (int i = 0; i < height; i++) {
        w->ep[i] = create_on(w->side);
        if (i > 0)
            CHECK_EQ(set_on(w->side, w->ep[i], EPOLL_CTL_ADD, w->ep[i - 1], EPOLLIN | links[i], 10 + i - 1), 0);
    }
    for (int i = 0; i < LEAVES; i++) {
        if (pipes)
            make_pipe(w->leaf[i]);
        else
            w->leaf[i][0] = w->leaf[i][1] = OK(eventfd(0, EFD_NONBLOCK));
        CHECK_EQ(set_on(w->side, w->ep[i % height], EPOLL_CTL_ADD, w->leaf[i][0], EPOLLIN | leaves[i], i), 0);
    }
}

static void destroy(struct world *w, bool pipes)
{
    for (int i = 0; i < height; i++)
        discard_on(w->side, w->ep[i]);
    for (int i = 0; i < LEAVES; i++) {
        OK(close(w->leaf[i][0]));
        if (pipes)
            OK(close(w->leaf[i][1]));
    }
}

static int by_data(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

static int look(struct world *w, int instance)
{
    struct pollfd p = {.fd = w->ep[instance], .events = POLLIN | POLLOUT};
    struct timespec zero = {0, 0};
    long n = w->side == KERNEL ? bare(SYS_ppoll, (long)&p, 1, (long)&zero, 0, 8, 0) : plain(poll(&p, 1, 0));
    CHECK_EQ(n, p.revents != 0);
    return p.revents;
}

/* Runs one step and appends its results to `result`. */
static void step(struct world *w, unsigned act, unsigned where, uint32_t mode, char *result)
{
    uint64_t eight[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct epoll_event at[8];
    int leaf = where % LEAVES, instance = where % height;
    long n = 0;
    switch (act) {
    case 0:
    case 1:
        n = plain(write(w->leaf[leaf][1], eight, 8));
        break;
    case 2:
        n = plain(read(w->leaf[leaf][0], eight, 8));
        break;
    case 3:
        while (read(w->leaf[leaf][0], eight, sizeof eight) > 0)
            ;
        break;
    case 4:
    case 5:
    case 6:
        n = wait_on(w->side, w->ep[instance], at, 8, 0);
        if (n > 0)
            qsort(at, n, sizeof *at, by_data);
        for (int i = 0; i < n; i++)
            result += sprintf(result, " %d:%#x", (int)at[i].data.u64, at[i].events);
        break;
    case 7:
        result += sprintf(result, " revents %#x", look(w, instance));
        break;
    case 8:
        n = set_on(w->side, w->ep[leaf % height], EPOLL_CTL_MOD, w->leaf[leaf][0], EPOLLIN | mode, leaf);
        break;
    case 9:
        if (instance > 0)
            n = set_on(w->side, w->ep[instance], EPOLL_CTL_MOD, w->ep[instance - 1], EPOLLIN | mode, 10 + instance - 1);
        break;
    case 10:
        n = set_on(w->side, w->ep[leaf % height], EPOLL_CTL_DEL, w->leaf[leaf][0], 0, 0);
        break;
    case 11:
        n = set_on(w->side, w->ep[leaf % height], EPOLL_CTL_ADD, w->leaf[leaf][0], EPOLLIN | mode, leaf);
        break;
    case 12:
        if (instance > 0)
            n = set_on(w->side, w->ep[instance], EPOLL_CTL_DEL, w->ep[instance - 1], 0, 0);
        break;
    case 13:
        if (instance > 0)
            n = set_on(w->side, w->ep[instance], EPOLL_CTL_ADD, w->ep[instance - 1], EPOLLIN | mode, 10 + instance - 1);
        break;
    }
    sprintf(result, " = %ld", n);
}

static const char *const acts[] = {"write", "write", "read",    "drain",    "wait",    "wait",    "wait",
                                   "poll",  "mod",   "modlink", "del",      "add",     "dellink", "addlink"};

enum { STEPS = 60 };
struct script {
    bool pipes;
    uint32_t links[HEIGHT], leaves[LEAVES];
    int n;
    struct {
        unsigned act, where;
        uint32_t mode;
    } steps[STEPS];
};

static struct script script(unsigned number)
{
    seed = number;
    height = 1 + any(HEIGHT);
    bool changes = any(2);
    struct script s = {.pipes = any(2), .n = STEPS};
    for (int i = 0; i < HEIGHT; i++)
        s.links[i] = modes[any(4)], s.leaves[i] = modes[any(4)];
    for (int i = 0; i < STEPS; i++)
        s.steps[i].act = any(changes ? 14 : 10), s.steps[i].where = any(60), s.steps[i].mode = modes[any(4)];
    return s;
}

/* Whether both sides give the same results; if not, the history ends where they differ. */
static bool same(const struct script *s)
{
    worlds[KERNEL].side = KERNEL, worlds[TESTED].side = TESTED;
    uint32_t links[HEIGHT], leaves[LEAVES];
    memcpy(links, s->links, sizeof links);
    memcpy(leaves, s->leaves, sizeof leaves);
    for (int side = 0; side < 2; side++)
        build(&worlds[side], links, leaves, s->pipes);
    char *end = history;
    end += sprintf(end, "%d instances, links %#x %#x, leaves %#x %#x %#x, %s\n", height, links[1], links[2], leaves[0],
                   leaves[1], leaves[2], s->pipes ? "pipes" : "eventfds");
    bool equal = true;
    for (int i = 0; i < s->n && equal; i++) {
        unsigned act = s->steps[i].act, where = s->steps[i].where;
        char results[2][256];
        for (int side = 0; side < 2; side++)
            step(&worlds[side], act, where, s->steps[i].mode, results[side]);
        equal = strcmp(results[KERNEL], results[TESTED]) == 0;
        bool of_leaf = act < 4 || act == 8 || act == 10 || act == 11;
        end += sprintf(end, "  %s %u %#x%s%s%s\n", acts[act], of_leaf ? where % LEAVES : where % height, s->steps[i].mode,
                       results[KERNEL], equal ? "" : " on the kernel, here it is", equal ? "" : results[TESTED]);
    }
    for (int side = 0; side < 2; side++)
        destroy(&worlds[side], s->pipes);
    return equal;
}

/* Removes every step without which the sides still differ. */
static void shorten(struct script *s)
{
    for (int i = s->n - 1; i >= 0; i--) {
        struct script shorter = *s;
        shorter.n--;
        memmove(&shorter.steps[i], &shorter.steps[i + 1], (shorter.n - i) * sizeof *s->steps);
        if (!same(&shorter))
            *s = shorter;
    }
}

void test(void)
{
    need_the_kernels_epoll();
    int first = test_argv[1] ? atoi(test_argv[1]) : 1, last = test_argv[1] && test_argv[2] ? atoi(test_argv[2]) : first + 2999;
    for (int number = first; number <= last; number++) {
        struct script s = script(number);
        if (same(&s))
            continue;
        char name[32];
        snprintf(name, sizeof name, "script %d", number);
        subject = name;
        shorten(&s);
        bool again = !same(&s);
        die(__FILE__, __LINE__, "%s%s", again ? "" : "(not every time) ", history);
    }
}

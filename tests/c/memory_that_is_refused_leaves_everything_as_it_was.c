/* When memory runs out, create, control and dup are ENOMEM and have no effect. Existing
 * registrations keep reporting, and when there is memory again all is as before. The memory runs
 * out at the first mapping, at the second, and so on. */
#include "faults.h"

#define N 2400
#define TOGETHER (20 * 13)

static int ep, outer, pipes[4][2], fds[N], dups[N], instances[N];

static bool refused(int answer)
{
    if (answer >= 0)
        return false;
    CHECK_EQ(errno, ENOMEM);
    CHECK(!on_the_kernel());
    return true;
}

/* The registrations made before the memory ran out. */
static void old_ones_report(void)
{
    for (int i = 0; i < 4; i++) {
        write_bytes(pipes[i][1], 1);
        if (outer >= 0)
            EXPECT_ONE(outer, 99, EPOLLIN);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(pipes[i][0]), 1);
        EXPECT_NONE_NOW(ep);
        if (outer >= 0)
            EXPECT_NONE_NOW(outer);
        MOD(ep, pipes[i][0], i % 2 ? EPOLLIN | EPOLLET : EPOLLIN, i);
    }
}

/* Writes to every 13th descriptor of a range and expects one report for each, then deletes or reads
 * it. Many at a time, since each wait may depend on a watcher thread. */
static void each_reports(int from, int to, bool deleted)
{
    static bool seen[N];
    int due = 0;
    memset(seen, 0, sizeof seen);
    for (int i = from; i < to; i += 13, due++)
        add_one(fds[i]);
    while (due > 0) {
        struct events events = wait_events(ep, BOUND_MS);
        CHECK(events.n > 0);
        for (int at = 0; at < events.n; at++, due--) {
            int i = (int)events.at[at].data.u64 - 1000;
            CHECK(i >= from && i < to && (i - from) % 13 == 0 && !seen[i]);
            CHECK_EQ(events.at[at].events, EPOLLIN);
            seen[i] = true;
            if (deleted)
                DEL(ep, fds[i]);
            else
                CHECK_EQ(read_all(fds[i]), 8);
        }
    }
}

/* Adds the deleted ones again, and expects a report for each at once. */
static void each_is_added_again(int from, int to)
{
    int due = 0;
    for (int i = from; i < to; i += 13, due++)
        /* The record of a deleted registration may be freed a little later. */
        UNTIL(!refused(ctl(ep, EPOLL_CTL_ADD, fds[i], EPOLLIN | EPOLLET, 1000 + i)));
    struct events events = wait_events(ep, BOUND_MS);
    CHECK_EQ(events.n, due);
    sort_by_data(&events);
    for (int at = 0; at < due; at++)
        CHECK_EQ(events.at[at].data.u64, 1000 + from + 13 * at);
}

/* Uses memory in every way until there is none, from a set of `first` registrations on. */
static void exhaust(int first, long mappings)
{
    int n_dups = 0, n_instances = 0, n = 0;
    ep = new_epoll();
    outer = -1;
    for (int i = 0; i < 4; i++) {
        make_pipe(pipes[i]);
        ADD(ep, pipes[i][0], i % 2 ? EPOLLIN | EPOLLET : EPOLLIN, i);
    }
    for (int i = 0; i < N; i++)
        fds[i] = OK(eventfd(0, EFD_NONBLOCK));
    for (; n < first; n++)
        ADD(ep, fds[n], EPOLLIN, 1000 + n);

    atomic_store(&mappings_left, mappings);
    for (int i = 0; i < 4; i++) {
        int answer = epoll_create1(0);
        if (refused(answer))
            break;
        instances[n_instances++] = answer;
    }
    if (n_instances > 0 && !refused(ctl(instances[0], EPOLL_CTL_ADD, ep, EPOLLIN, 99)))
        outer = instances[0];
    old_ones_report();
    for (; n < N; n++) {
        if (n % 7 == 0) {
            int answer = dup(fds[n]);
            if (refused(answer))
                break;
            dups[n_dups++] = answer;
        }
        if (refused(ctl(ep, EPOLL_CTL_ADD, fds[n], EPOLLIN | EPOLLET, 1000 + n)))
            break;
    }
    old_ones_report();
    /* A refused registration does not half exist, and the existing ones obstruct nothing. */
    if (n < N)
        CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fds[n], NULL), ENOENT);
    for (int from = 0; from < n; from += TOGETHER) {
        int to = from + TOGETHER < n ? from + TOGETHER : n;
        each_reports(from, to, true);
        each_is_added_again(from, to);
    }
    for (int i = 0; i < n_dups; i++)
        OK(close(dups[i]));
    old_ones_report();

    atomic_store(&mappings_left, 1l << 40);
    for (; n < N; n++)
        ADD(ep, fds[n], EPOLLIN | EPOLLET, 1000 + n);
    for (int from = 5; from < N; from += TOGETHER)
        each_reports(from, from + TOGETHER < N ? from + TOGETHER : N, false);
    old_ones_report();
    for (int i = 0; i < N; i++)
        OK(close(fds[i]));
    for (int i = 0; i < n_instances; i++)
        OK(close(instances[i]));
    outer = -1;
    old_ones_report();
    OK(close(ep));
}

void test(void)
{
    raise_descriptor_limit();
    trap_mappings();
    int first[] = {0, 60, 1000, 2040};
    long refusals = 0;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        for (long mappings = 0; mappings < 5; mappings++) {
            static char text[64];
            snprintf(text, sizeof text, "%d registrations, %ld mappings", first[i], mappings);
            subject = text;
            pid_t child = OK(fork());
            if (child == 0) {
                exhaust(first[i], mappings);
                _exit(atomic_load(&mappings_refused) > 0 ? 3 : 0);
            }
            int status;
            CHECK_EQ(OK(waitpid(child, &status, 0)), child);
            CHECK(status == 0 || status == 3 << 8);
            refusals += status != 0;
        }
    }
    CHECK(on_the_kernel() || refusals > 5);
}

/* A ring cannot be made, for lack of a number, of memory or of permission, or the kernel stops
 * serving it: the instance is polled, and no event is lost in the switch. Each case runs in a
 * process of its own. */
#include "faults.h"

static int ep, bell, level[2], edge[2], pair[2];

static void make_targets(void)
{
    bell = OK(eventfd(0, EFD_NONBLOCK));
    make_pipe(level);
    make_pipe(edge);
    make_pair(SOCK_STREAM, pair);
}

static void register_them(void)
{
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    ADD(ep, level[0], EPOLLIN, 2);
    ADD(ep, edge[0], EPOLLIN | EPOLLET, 3);
    ADD(ep, pair[0], EPOLLIN, 4);
}

/* While the other thread sleeps, or before: the test cannot find out without a descriptor
 * number. */
static void *adds(void *arg)
{
    pause_ms(5);
    add_one(bell);
    return arg;
}

/* Arrivals before a wait and during it, on drained items and on top of unread data. */
static void all_is_heard(void)
{
    for (int i = 0; i < 3; i++) {
        add_one(bell);
        EXPECT_ONE(ep, 1, EPOLLIN);
        write_bytes(level[1], 1);
        EXPECT_ONE(ep, 2, EPOLLIN);
        CHECK_EQ(read_all(level[0]), 1);
        write_bytes(edge[1], 1);
        EXPECT_ONE(ep, 3, EPOLLIN);
        EXPECT_NONE_NOW(ep);
        struct thread thread;
        start_thread(&thread, adds, NULL);
        EXPECT_ONE(ep, 1, EPOLLIN);
        join_thread(&thread);
    }
    /* The kernel ends a ring that is no longer served after a moment. */
    OK(close(pair[0]));
    UNTIL(send(pair[1], "", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    EXPECT_NONE_NOW(ep);
}

/* The number of free descriptor numbers when the instance is made: some for it, some for the
 * thread, and one for the ring or none. */
static void few_numbers(int free)
{
    static int taken[4096];
    make_targets();
    int n = take_all_numbers(600, taken, 600);
    for (int i = 0; i < free; i++)
        OK(close(taken[--n]));
    ep = epoll_create1(0);
    if (ep == -1) {
        CHECK_EQ(errno, EMFILE);
        return;
    }
    register_them();
    all_is_heard();
}

static void few_mappings(int mappings)
{
    make_targets();
    ep = new_epoll();
    register_them();
    struct thread thread;
    /* Allocates the memory that threads need. */
    start_thread(&thread, adds, NULL);
    UNTIL(wait_events(ep, 1).n == 1);
    join_thread(&thread);
    int second = new_epoll(), event = OK(eventfd(0, EFD_NONBLOCK));
    ADD(second, event, EPOLLIN | EPOLLET, 1);
    trap_mappings();
    atomic_store(&mappings_left, mappings);
    for (int i = 0; i < 5; i++) {
        add_one(event);
        EXPECT_ONE(second, 1, EPOLLIN);
        EXPECT_NONE_NOW(second);
    }
    atomic_store(&mappings_left, 1l << 40);
    all_is_heard();
}

static void no_setup(int error)
{
    make_targets();
    refuse_call(SYS_io_uring_setup, error);
    ep = new_epoll();
    register_them();
    all_is_heard();
}

/* The program installs a seccomp filter when the ring exists and edges are in flight. */
static void no_more_enter(int error)
{
    make_targets();
    ep = new_epoll();
    register_them();
    add_one(bell);
    EXPECT_ONE(ep, 1, EPOLLIN);
    write_bytes(edge[1], 1);
    EXPECT_ONE(ep, 3, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    add_one(bell);
    write_bytes(edge[1], 1);
    refuse_call(SYS_io_uring_enter, error);
    struct events events = wait_events(ep, BOUND_MS);
    if (events.n == 1)
        events.n += wait_at_most(ep, 1, BOUND_MS).n;
    CHECK_EQ(events.n, 2);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(read_all(edge[0]), 2);
    all_is_heard();
}

static void in_a_process(void (*act)(int), const char *name, int number)
{
    static char what[64];
    snprintf(what, sizeof what, "%s %d", name, number);
    subject = what;
    pid_t child = OK(fork());
    if (child == 0) {
        alarm(BOUND_MS / 1000);
        act(number);
        _exit(0);
    }
    expect_exit_0(child);
}

void test(void)
{
    for (int free = 1; free < 8; free++)
        in_a_process(few_numbers, "free numbers:", free);
    for (int mappings = 0; mappings < 5; mappings++)
        in_a_process(few_mappings, "mappings:", mappings);
    int errors[] = {ENOSYS, EPERM, EACCES, ENOMEM, EMFILE, EINVAL};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        in_a_process(no_setup, "io_uring_setup refused with", errors[i]);
        in_a_process(no_more_enter, "io_uring_enter refused with", errors[i]);
    }
}

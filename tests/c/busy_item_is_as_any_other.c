/* An item that was reported many times in a row behaves like any other: it wakes sleeping threads,
 * changes take effect at once in whichever thread they are made, and it can fall silent and become
 * busy again (T6, T10, W4, W5, D4). */
#include "harness.h"

static int ep, busy[2], quiet[2], third[2];
static pid_t waiting;

static void make_busy(int waits)
{
    char byte;
    for (int i = 0; i < waits; i++) {
        write_bytes(busy[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read(busy[0], &byte, 1), 1);
    }
}

static void begin(void)
{
    ep = new_epoll();
    make_pair(SOCK_STREAM, busy);
    make_pair(SOCK_STREAM, quiet);
    make_pair(SOCK_STREAM, third);
    ADD(ep, busy[0], EPOLLIN, 1);
    ADD(ep, quiet[0], EPOLLIN, 2);
    make_busy(40);
}

static void end(void)
{
    OK(close(ep));
    for (int i = 0; i < 2; i++) {
        close(busy[i]);
        OK(close(quiet[i]));
        OK(close(third[i]));
    }
}

/* Runs the action once the waiting thread sleeps. */
static void *act(void *what)
{
    wait_until_blocked(waiting);
    ((void (*)(void))what)();
    return NULL;
}

/* Expects the event that follows from the action, in this thread, which made the item busy. */
static void expect_after(void (*what)(void), uint64_t data, uint32_t events)
{
    struct thread actor;
    begin();
    start_thread(&actor, act, (void *)what);
    EXPECT_ONE(ep, data, events);
    join_thread(&actor);
    end();
}

static void write_busy(void) { write_bytes(busy[1], 1); }
static void write_quiet(void) { write_bytes(quiet[1], 1); }

static void add_a_third(void)
{
    write_bytes(third[1], 1);
    ADD(ep, third[0], EPOLLIN, 3);
}

static void ask_for_room(void) { MOD(ep, busy[0], EPOLLOUT, 4); }

static void delete_busy(void)
{
    DEL(ep, busy[0]);
    write_bytes(busy[1], 1);
    pause_ms(20);
    wait_until_blocked(waiting);
    write_quiet();
}

static void close_busy(void)
{
    OK(close(busy[0]));
    expect_eof_at_once(busy[1]);
    write_quiet();
}

static void ask_for_edges(void)
{
    MOD(ep, busy[0], EPOLLIN | EPOLLET, 5);
    write_busy();
}

static void no_handler(int signal) { (void)signal; }

static void interrupt(void) { OK(syscall(SYS_tgkill, getpid(), waiting, SIGUSR1)); }

static void falls_silent_and_comes_back(void)
{
    begin();
    for (int i = 0; i < 100; i++) {
        write_quiet();
        EXPECT_ONE(ep, 2, EPOLLIN);
        CHECK_EQ(read_all(quiet[0]), 1);
    }
    struct thread actor;
    start_thread(&actor, act, (void *)write_busy);
    EXPECT_ONE(ep, 1, EPOLLIN);
    join_thread(&actor);
    CHECK_EQ(read_all(busy[0]), 1);
    EXPECT_NONE_NOW(ep);
    make_busy(40);
    end();
}

static void edges_and_one_shots(void)
{
    begin();
    MOD(ep, busy[0], EPOLLIN | EPOLLET, 5);
    for (int i = 0; i < 20; i++) {
        write_busy();
        EXPECT_ONE(ep, 5, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }
    MOD(ep, busy[0], EPOLLIN, 6);
    for (int i = 0; i < 20; i++)
        EXPECT_ONE(ep, 6, EPOLLIN);
    MOD(ep, busy[0], EPOLLIN | EPOLLONESHOT, 7);
    EXPECT_ONE(ep, 7, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    MOD(ep, busy[0], EPOLLIN, 8);
    EXPECT_ONE(ep, 8, EPOLLIN);
    CHECK_EQ(read_all(busy[0]), 20);
    EXPECT_NONE_NOW(ep);
    OK(close(busy[1]));
    EXPECT_ONE(ep, 8, EPOLLIN | EPOLLHUP);
    end();
}

static void child_has_it(void)
{
    begin();
    pid_t child = OK(fork());
    if (child == 0) {
        write_busy();
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read_all(busy[0]), 1);
        EXPECT_NONE_NOW(ep);
        write_quiet();
        EXPECT_ONE(ep, 2, EPOLLIN);
        CHECK_EQ(read_all(quiet[0]), 1);
        _exit(0);
    }
    expect_exit_0(child);
    write_busy();
    EXPECT_ONE(ep, 1, EPOLLIN);
    end();
}

static void signal_ends_the_wait(void)
{
    struct thread actor;
    struct epoll_event e;
    struct sigaction action = {.sa_handler = no_handler, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    begin();
    start_thread(&actor, act, (void *)interrupt);
    CHECK_ERRNO(wait_by(WAIT, ep, &e, 1, BOUND_MS, NULL), EINTR);
    join_thread(&actor);
    end();
}

void test(void)
{
    waiting = gettid();
    expect_after(write_busy, 1, EPOLLIN);
    expect_after(write_quiet, 2, EPOLLIN);
    expect_after(add_a_third, 3, EPOLLIN);
    expect_after(ask_for_room, 4, EPOLLOUT);
    expect_after(delete_busy, 2, EPOLLIN);
    expect_after(close_busy, 2, EPOLLIN);
    expect_after(ask_for_edges, 5, EPOLLIN);
    falls_silent_and_comes_back();
    edges_and_one_shots();
    child_has_it();
    signal_ends_the_wait();
}

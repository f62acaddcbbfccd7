/* A child of fork() finds edge-triggered and one-shot registrations as they were: reported edges
 * stay silent, unreported ones are reported, and a spent one-shot registration stays spent until it
 * is modified. A child of vfork() that only execs changes nothing (D5, W4, W5). */
#include "harness.h"

static int ep, told[2], untold[2], spent[2], armed[2];

static void look(void)
{
    struct events events = wait_events(ep, 0);
    sort_by_data(&events);
    CHECK_EQ(events.n, 2);
    CHECK_EQ(events.at[0].data.u64, 2);
    CHECK_EQ(events.at[1].data.u64, 4);
    EXPECT_NONE_NOW(ep);

    /* More data arrives; both one-shot registrations are spent now. */
    write_bytes(told[1], 1);
    write_bytes(spent[1], 1);
    write_bytes(armed[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    MOD(ep, spent[0], EPOLLIN | EPOLLONESHOT, 13);
    EXPECT_ONE(ep, 13, EPOLLIN);
    EXPECT_NONE_NOW(ep);
}

static void set_up(void)
{
    ep = new_epoll();
    make_pipe(told);
    make_pipe(untold);
    make_pipe(spent);
    make_pipe(armed);
    ADD(ep, told[0], EPOLLIN | EPOLLET, 1);
    ADD(ep, spent[0], EPOLLIN | EPOLLONESHOT, 3);
    write_bytes(told[1], 1);
    write_bytes(spent[1], 1);
    CHECK_EQ(wait_events(ep, 0).n, 2);
    ADD(ep, untold[0], EPOLLIN | EPOLLET, 2);
    ADD(ep, armed[0], EPOLLIN | EPOLLONESHOT, 4);
    write_bytes(untold[1], 1);
    write_bytes(armed[1], 1);
}

void test(void)
{
    set_up();
    pid_t child = OK(fork());
    if (child == 0) {
        look();
        _exit(0);
    }
    expect_exit_0(child);

    /* The parent, after a child of vfork has come and gone. */
    set_up();
    child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    expect_exit_0(child);
    look();

    /* A grandchild, by way of a child that only forked. */
    set_up();
    child = OK(fork());
    if (child == 0) {
        child = OK(fork());
        if (child == 0) {
            look();
            _exit(0);
        }
        expect_exit_0(child);
        _exit(0);
    }
    expect_exit_0(child);
}

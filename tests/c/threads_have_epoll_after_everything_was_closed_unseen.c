/* A thread leaves the common descriptor table, and then a call that the library does not see closes
 * every descriptor of that table: also the one by which the library recognizes the table. Threads
 * that begin after that still have epoll, whether the process's first thread is in the table or has
 * left it. */
#include "bare.h"
#include "harness.h"

#include <sched.h>

static long inline_close_range(long first, long last) { return bare(SYS_close_range, first, last, 0, 0, 0, 0); }

static void *waits(void *unused)
{
    int ep = new_epoll(), bell = OK(eventfd(1, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN, 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    OK(close(bell));
    EXPECT_NONE_NOW(ep);
    OK(close(ep));
    return unused;
}

static void *leaves(void *unused)
{
    OK(unshare(CLONE_FILES));
    return unused;
}

static void in_a_thread(void *(*run)(void *))
{
    struct thread thread;
    start_thread(&thread, run, NULL);
    join_thread(&thread);
}

static void *closes_everything(void *unused)
{
    waits(NULL);
    CHECK_EQ(inline_close_range(3, ~0u), 0);
    return unused;
}

static void *closes_everything_and_goes_on(void *unused)
{
    closes_everything(NULL);
    waits(NULL);
    in_a_thread(waits);
    return unused;
}

static atomic_bool has_waited, first_has_left;

static void *goes_on_without_the_first(void *unused)
{
    waits(NULL);
    has_waited = true;
    UNTIL(first_has_left);
    return closes_everything_and_goes_on(unused);
}

void test(void)
{
    subject = "the first thread stays";
    for (int round = 0; round < 3; round++) {
        in_a_thread(leaves);
        in_a_thread(closes_everything);
        in_a_thread(waits);
        in_a_thread(closes_everything_and_goes_on);
    }
    subject = "the first thread leaves";
    struct thread thread;
    start_thread(&thread, goes_on_without_the_first, NULL);
    /* Whoever leaves takes a copy of what is open. */
    UNTIL(has_waited);
    leaves(NULL);
    first_has_left = true;
    join_thread(&thread);
}

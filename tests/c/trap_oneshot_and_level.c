/* The level of a one-shot registration stays high after its report, and poll(2) keeps reporting it,
 * a hang-up even with an empty mask. The registration is silent, costs a waiting thread no
 * processor time, and takes nothing from a level-triggered registration of the same file; MOD
 * reports the current level, without any arrival (W3, W5). */
#include "harness.h"

enum { ONCE = 1, LEVEL, OTHER };

/* Checks that no thread wakes up, and that no processor time is used, while a thread that only
 * `bell` wakes waits on `ep`. */
static void sleeps_until(int ep, int bell)
{
    struct waiter waiter;
    start_waiter(&waiter, ep);
    int64_t before = cpu_ns();
    pause_ms(200);
    CHECK(cpu_ns() - before < 60 * 1000000);
    CHECK(!atomic_load(&waiter.done));
    add_one(bell);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, OTHER);
    uint64_t count;
    OK(read(bell, &count, sizeof count));
}

/* The watched descriptor stays readable, and finally hangs up. */
static void spent(uint32_t mode)
{
    int ep = new_epoll(), fd[2], bell = OK(eventfd(0, EFD_NONBLOCK));
    make_pipe(fd);
    ADD(ep, bell, EPOLLIN, OTHER);
    ADD(ep, fd[0], mode, ONCE);
    write_bytes(fd[1], 3);
    EXPECT_ONE(ep, ONCE, EPOLLIN);
    sleeps_until(ep, bell);

    /* Re-armed, it is reported at once, by the level alone; and again, once each time. */
    for (int i = 0; i < 3; i++) {
        MOD(ep, fd[0], mode, ONCE);
        EXPECT_ONE(ep, ONCE, EPOLLIN);
        EXPECT_NONE_NOW(ep);
    }

    /* The same for a sleeping thread. */
    struct waiter waiter;
    start_waiter(&waiter, ep);
    MOD(ep, fd[0], mode, ONCE);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, ONCE);

    /* A hang-up, which no mask can exclude. */
    OK(close(fd[1]));
    sleeps_until(ep, bell);
    MOD(ep, fd[0], mode, ONCE);
    EXPECT_ONE(ep, ONCE, EPOLLIN | EPOLLHUP);
    sleeps_until(ep, bell);
    OK(close(fd[0]));
    OK(close(bell));
    OK(close(ep));
}

/* One file under two numbers: the spent registration does not silence the other one, and the other
 * one does not re-arm it. */
static void beside_level(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    int twin = OK(dup(fd[0]));
    ADD(ep, fd[0], EPOLLIN | EPOLLONESHOT, ONCE);
    ADD(ep, twin, EPOLLIN, LEVEL);
    write_bytes(fd[1], 1);
    struct events events = wait_events(ep, BOUND_MS);
    CHECK_EQ(events.n, 2);
    for (int i = 0; i < 5; i++)
        EXPECT_ONE(ep, LEVEL, EPOLLIN);
    MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, ONCE);
    CHECK_EQ(wait_events(ep, 0).n, 2);
    EXPECT_ONE(ep, LEVEL, EPOLLIN);

    /* Made level-triggered, it is in every wait; made one-shot again, in one. */
    MOD(ep, fd[0], EPOLLIN, ONCE);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(wait_events(ep, 0).n, 2);
    MOD(ep, fd[0], EPOLLIN | EPOLLONESHOT, ONCE);
    CHECK_EQ(wait_events(ep, 0).n, 2);
    EXPECT_ONE(ep, LEVEL, EPOLLIN);
    CHECK_EQ(read_all(fd[0]), 1);
    EXPECT_NONE_NOW(ep);
    OK(close(twin));
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(ep));
}

void test(void)
{
    spent(EPOLLIN | EPOLLONESHOT);
    spent(EPOLLIN | EPOLLONESHOT | EPOLLET);
    beside_level();
}

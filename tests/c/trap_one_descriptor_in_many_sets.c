/* One descriptor in many instances: each has a mask, data and an edge memory of its own. A report,
 * a spent one-shot, a modification or a deletion in one instance does not change the others; a
 * drain counts for all of them; and a close removes the descriptor from all of them, whatever its
 * number refers to next (T4, E1, W5, D1). */
#include "harness.h"

#define SETS 48

enum mode { LEVEL, EDGE, ONCE, ROOM };
static const uint32_t masks[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLOUT | EPOLLET};
static int set[SETS];

static enum mode mode(int i) { return (enum mode)(i % 4); }
static uint64_t data(int i, int round) { return (uint64_t)round * 1000 + (uint64_t)i; }

/* Expects exactly this report from each instance. */
static void expect(int round, bool level, bool edge, bool once, bool room)
{
    for (int i = 0; i < SETS; i++) {
        bool yes = mode(i) == LEVEL ? level : mode(i) == EDGE ? edge : mode(i) == ONCE ? once : room;
        if (yes)
            EXPECT_ONE(set[i], data(i, round), mode(i) == ROOM ? EPOLLOUT : EPOLLIN);
        else
            EXPECT_NONE_NOW(set[i]);
    }
}

void test(void)
{
    for (int i = 0; i < SETS; i++)
        set[i] = new_epoll();
    for (int round = 0; round < 4; round++) {
        int fd[2];
        make_pair(SOCK_STREAM, fd);
        for (int i = 0; i < SETS; i++)
            ADD(set[i], fd[0], masks[mode(i)], data(i, round));
        expect(round, false, false, false, true);
        write_bytes(fd[1], 2);
        expect(round, true, true, true, false);
        expect(round, true, false, false, false);

        /* The next arrival is an edge for edge-triggered registrations, and nothing for a spent
         * one-shot. */
        write_bytes(fd[1], 1);
        expect(round, true, true, false, false);

        /* Two registrations change: one is re-armed, one is deleted. */
        MOD(set[ONCE], fd[0], masks[ONCE], data(ONCE, round));
        EXPECT_ONE(set[ONCE], data(ONCE, round), EPOLLIN);
        EXPECT_NONE_NOW(set[ONCE + 4]);
        DEL(set[EDGE], fd[0]);
        DEL(set[LEVEL], fd[0]);
        EXPECT_NONE_NOW(set[LEVEL]);
        EXPECT_ONE(set[LEVEL + 4], data(LEVEL + 4, round), EPOLLIN);
        ADD(set[EDGE], fd[0], masks[EDGE], data(EDGE, round));
        EXPECT_ONE(set[EDGE], data(EDGE, round), EPOLLIN);
        EXPECT_NONE_NOW(set[EDGE + 4]);
        ADD(set[LEVEL], fd[0], masks[LEVEL], data(LEVEL, round));

        /* One drain counts for all; an arrival of the same size is an edge in each. */
        CHECK_EQ(read_all(fd[0]), 3);
        expect(round, false, false, false, false);
        write_bytes(fd[1], 3);
        expect(round, true, true, false, false);

        /* Closed, with a level in some instances and a pending report in others; the number refers
         * to another file at once, which is not registered. */
        write_bytes(fd[1], 1);
        int other = OK(eventfd(1, 0)), number = fd[0];
        OK(dup2(other, number));
        CHECK_ERRNO(write(fd[1], "", 1), EPIPE);
        expect(round, false, false, false, false);
        for (int i = 0; i < SETS; i++)
            CHECK_ERRNO(epoll_ctl(set[i], EPOLL_CTL_DEL, number, NULL), ENOENT);
        ADD(set[LEVEL], number, EPOLLIN, 1);
        EXPECT_ONE(set[LEVEL], 1, EPOLLIN);
        OK(close(other));
        OK(close(number));
        OK(close(fd[1]));
        EXPECT_NONE_NOW(set[LEVEL]);
    }
    for (int i = 0; i < SETS; i++)
        OK(close(set[i]));
}

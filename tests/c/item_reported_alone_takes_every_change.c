/* An item that wait after wait reports alone is reported as it is now: with the data and the mask of
 * the last MOD (T6), beside others that are ready (W3, W6), once as a one-shot (W5) or by an edge
 * (W4), and not after a DEL or a close (D1), however its number was closed. */
#include "bare.h"
#include "harness.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

static int ep, other[2], mine[2];
static struct epoll_event *volatile nowhere;

static void settle(int fd, uint64_t data)
{
    write_bytes(mine[1], 1);
    ADD(ep, fd, EPOLLIN, data);
    for (int i = 0; i < 4; i++)
        EXPECT_ONE(ep, data, EPOLLIN);
}

static void begin(void)
{
    ep = new_epoll();
    make_pair(SOCK_STREAM, mine);
    make_pipe(other);
    ADD(ep, other[0], EPOLLIN, 7);
    settle(mine[0], 1);
}

static void end(void)
{
    OK(close(ep));
    for (int i = 0; i < 2; i++) {
        close(mine[i]);
        OK(close(other[i]));
    }
}

static void expect_two(uint64_t first, uint64_t second)
{
    struct events both = wait_events(ep, BOUND_MS);
    sort_by_data(&both);
    CHECK_EQ(both.n, 2);
    CHECK_EQ(both.at[0].data.u64, first);
    CHECK_EQ(both.at[1].data.u64, second);
}

static void changed(void)
{
    begin();
    MOD(ep, mine[0], EPOLLIN, 2);
    EXPECT_ONE(ep, 2, EPOLLIN);
    EXPECT_ONE(ep, 2, EPOLLIN);
    MOD(ep, mine[0], EPOLLIN | EPOLLOUT, 2);
    EXPECT_ONE(ep, 2, EPOLLIN | EPOLLOUT);
    EXPECT_ONE(ep, 2, EPOLLIN | EPOLLOUT);
    MOD(ep, mine[0], EPOLLOUT, 3);
    EXPECT_ONE(ep, 3, EPOLLOUT);
    MOD(ep, mine[0], EPOLLIN | EPOLLONESHOT, 4);
    EXPECT_ONE(ep, 4, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    MOD(ep, mine[0], EPOLLIN | EPOLLET, 5);
    EXPECT_ONE(ep, 5, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    MOD(ep, mine[0], EPOLLIN, 6);
    EXPECT_ONE(ep, 6, EPOLLIN);
    EXPECT_ONE(ep, 6, EPOLLIN);
    OK(shutdown(mine[1], SHUT_WR));
    EXPECT_ONE(ep, 6, EPOLLIN);
    OK(close(mine[1]));
    EXPECT_ONE(ep, 6, EPOLLIN | EPOLLHUP);
    DEL(ep, mine[0]);
    EXPECT_NONE_NOW(ep);
    end();
}

static void beside_others(void)
{
    begin();
    write_bytes(other[1], 1);
    expect_two(1, 7);
    struct events one = wait_at_most(ep, 1, BOUND_MS), next = wait_at_most(ep, 1, BOUND_MS);
    CHECK_EQ(one.n, 1);
    CHECK_EQ(next.n, 1);
    CHECK(one.at[0].data.u64 != next.at[0].data.u64);
    CHECK_EQ(read(other[0], (char[1]){0}, 1), 1);
    for (int i = 0; i < 3; i++)
        EXPECT_ONE(ep, 1, EPOLLIN);
    int outer = new_epoll();
    ADD(outer, ep, EPOLLIN, 9);
    for (int i = 0; i < 3; i++)
        EXPECT_ONE(outer, 9, EPOLLIN);
    CHECK_EQ(read(mine[0], (char[1]){0}, 1), 1);
    EXPECT_NONE_NOW(outer);
    OK(close(outer));
    end();
}

static void on_alarm(int signal)
{
    (void)signal;
    MOD(ep, mine[0], EPOLLIN, 8);
}

static void by_a_signal_handler(void)
{
    begin();
    CHECK_EQ(read(mine[0], (char[1]){0}, 1), 1);
    OK(sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL));
    OK(setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL));
    struct epoll_event event;
    CHECK_ERRNO(epoll_wait(ep, &event, 1, BOUND_MS), EINTR);
    EXPECT_NONE_NOW(ep);
    write_bytes(mine[1], 1);
    EXPECT_ONE(ep, 8, EPOLLIN);
    EXPECT_ONE(ep, 8, EPOLLIN);
    end();
}

static void after_silence(void)
{
    begin();
    CHECK_EQ(read(mine[0], (char[1]){0}, 1), 1);
    for (int i = 0; i < 3; i++) {
        int64_t since = now_ns();
        EXPECT_NONE(ep);
        CHECK(now_ns() - since >= QUIET_MS * 1000000LL);
    }
    CHECK_ERRNO(epoll_wait(ep, nowhere, 0, 0), EINVAL);
    write_bytes(mine[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_ERRNO(epoll_wait(ep, nowhere, 1, 0), EFAULT);
    EXPECT_ONE(ep, 1, EPOLLIN);
    end();
}

static void closed(void)
{
    begin();
    int number = mine[0], another[2];
    OK(close(number));
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(dup2(other[0], number), number);
    write_bytes(other[1], 1);
    EXPECT_ONE(ep, 7, EPOLLIN);
    end();
    begin();
    number = mine[0];
    CHECK_EQ(bare(SYS_close, number, 0, 0, 0, 0, 0), 0);
    make_pipe(another);
    CHECK_EQ(another[0], number);
    write_bytes(another[1], 1);
    pause_ms(QUIET_MS);
    EXPECT_NONE(ep);
    OK(close(another[1]));
    end();
}

void test(void)
{
    changed();
    beside_others();
    by_a_signal_handler();
    after_silence();
    closed();
}

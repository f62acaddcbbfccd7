/* A half-closed socket whose mask does not ask for IN costs no processor time, whether a thread
 * waits or not, in an instance that poll() was called on (T5, N1). */
#include "harness.h"

static void expect_no_cost(uint32_t mask, bool full)
{
    int fd[2], ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    if (full)
        fill(fd[0]);
    ADD(ep, fd[0], mask, 1);
    struct pollfd p = {.fd = ep, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 0), 0);
    OK(shutdown(fd[1], SHUT_WR));

    int64_t before = cpu_ns();
    CHECK_EQ(wait_events(ep, 300).n, 0);
    CHECK(cpu_ns() - before < 30000000);
    CHECK_EQ(poll(&p, 1, 0), 0);
    before = cpu_ns();
    pause_ms(300);
    CHECK(cpu_ns() - before < 30000000);

    /* A hang-up is reported unasked. */
    OK(close(fd[1]));
    CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
    struct events events = wait_events(ep, BOUND_MS);
    CHECK_EQ(events.n, 1);
    CHECK(events.at[0].events & EPOLLHUP);
}

void test(void)
{
    subject = "no mask";
    expect_no_cost(0, false);
    subject = "OUT of a full socket";
    expect_no_cost(EPOLLOUT, true);
}

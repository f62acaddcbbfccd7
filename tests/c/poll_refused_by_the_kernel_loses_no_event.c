/* If the kernel has no memory for a long poll (ENOMEM), or refuses long ones (EINVAL), a wait
 * continues without an error (W1 has neither). */
#include "faults.h"

#define N 300

static int ep, fd[N][2];

static void *hears(void *arg)
{
    (void)arg;
    struct epoll_event event;
    CHECK_EQ(epoll_wait(ep, &event, 1, BOUND_MS), 1);
    return (void *)(intptr_t)event.data.u64;
}

static void in_a_child(int error)
{
    refuse_call_above(SYS_ppoll, 1, 40, error);
#ifdef SYS_poll
    refuse_call_above(SYS_poll, 1, 40, error);
#endif
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    for (int i = 0; i < N; i += 23) {
        write_bytes(fd[i][1], 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), 1);
        struct thread thread;
        start_thread(&thread, hears, NULL);
        pause_ms(3);
        write_bytes(fd[N - 1 - i][1], 1);
        CHECK_EQ((intptr_t)join_thread(&thread), N - 1 - i);
        CHECK_EQ(read_all(fd[N - 1 - i][0]), 1);
    }
    int64_t start = now_ns(), cpu = cpu_ns();
    CHECK_EQ(wait_events(ep, 200).n, 0);
    CHECK(now_ns() - start >= 200000000 && cpu_ns() - cpu < 100000000);
}

void test(void)
{
    int errors[] = {ENOMEM, EINVAL};
    for (int i = 0; i < 2; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            in_a_child(errors[i]);
            _exit(0);
        }
        expect_exit_0(child);
    }
}

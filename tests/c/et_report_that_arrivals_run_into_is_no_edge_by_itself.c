/* While a registration is reported, more comes. That is one more edge at most; when everything has
 * come, and was reported, there is silence (E1). */
#include "harness.h"

#include <sched.h>

#define ROUNDS 300
#define BYTES 40

static _Atomic int target = -1;
static atomic_bool over;

static void *write_to_target(void *unused)
{
    (void)unused;
    while (!atomic_load(&over)) {
        int fd = atomic_load(&target);
        if (fd < 0) {
            sched_yield();
            continue;
        }
        for (int i = 0; i < BYTES; i++)
            write_bytes(fd, 1);
        atomic_store(&target, -1);
    }
    return NULL;
}

void test(void)
{
    int ep = new_epoll();
    struct thread writer;
    start_thread(&writer, write_to_target, NULL);
    /* As many as there is time for: where processors are scarce each takes long. */
    int64_t end = now_ns() + BOUND_MS * 1000000ll;
    for (int round = 0; round < ROUNDS && now_ns() < end; round++) {
        int fd[2], there;
        make_tcp(fd);
        if (round % 2 == 1) {
            /* Some has come and gone before anybody watches. */
            write_bytes(fd[1], 100);
            UNTIL(read_all(fd[0]) > 0);
        }
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        atomic_store(&target, fd[1]);
        while (atomic_load(&target) >= 0)
            CHECK(wait_events(ep, 0).n <= 1);
        /* What is on its way has come. */
        UNTIL((OK(ioctl(fd[0], FIONREAD, &there)), there == BYTES));
        CHECK(wait_events(ep, 0).n <= 1);
        EXPECT_NONE_NOW(ep);
        EXPECT_NONE_NOW(ep);
        OK(close(fd[0]));
        OK(close(fd[1]));
    }
    atomic_store(&over, true);
    join_thread(&writer);
}

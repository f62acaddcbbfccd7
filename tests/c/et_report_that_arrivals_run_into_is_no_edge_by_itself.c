/* More data arrives while a registration is being reported. That is at most one more edge; when
 * everything has arrived and was reported, the item is silent (E1). */
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
    /* As many rounds as time allows: with few processors each takes long. */
    int64_t end = now_ns() + BOUND_MS * 1000000ll;
    for (int round = 0; round < ROUNDS && now_ns() < end; round++) {
        int fd[2], there;
        make_tcp(fd);
        if (round % 2 == 1) {
            /* Some bytes have arrived and been read before the registration exists. */
            write_bytes(fd[1], 100);
            UNTIL(read_all(fd[0]) > 0);
        }
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        atomic_store(&target, fd[1]);
        while (atomic_load(&target) >= 0)
            CHECK(wait_events(ep, 0).n <= 1);
        /* All bytes in flight have arrived. */
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

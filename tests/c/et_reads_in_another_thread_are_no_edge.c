/* A thread that reads in small pieces, after another thread reported the data, wakes no
 * edge-triggered waiter (E2), however its reads interleave with the looks of the waiter. */
#include "harness.h"

#define READS 2000

static int ends[2];

static void *reads(void *fifo)
{
    char byte;
    (void)fifo;
    for (int i = 0; i < READS; i++)
        CHECK_EQ(read(ends[0], &byte, 1), 1);
    return NULL;
}

static void check(void)
{
    int ep = new_epoll();
    ADD(ep, ends[0], EPOLLIN | EPOLLET, 1);
    write_bytes(ends[1], READS + 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    struct thread thread;
    start_thread(&thread, reads, NULL);
    join_thread(&thread);
    pause_ms(QUIET_MS);
    CHECK(!atomic_load(&waiter.done));
    write_bytes(ends[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    OK(close(ends[0]));
    OK(close(ends[1]));
    OK(close(ep));
}

void test(void)
{
    char dir[] = "/tmp/epolyfill-XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/fifo", dir);
    for (int i = 0; i < 5; i++) {
        subject = "pipe";
        make_pipe(ends);
        check();
        subject = "fifo";
        OK(mkfifo(path, 0600));
        ends[0] = OK(open(path, O_RDONLY | O_NONBLOCK));
        ends[1] = OK(open(path, O_WRONLY | O_NONBLOCK));
        check();
        OK(unlink(path));
    }
    OK(rmdir(dir));
}

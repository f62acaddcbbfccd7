/* The kernel adds to an eventfd when asynchronous I/O completes. Each completion is an edge,
 * whether the earlier value was read or not, and so is an addition by the program (E1). The
 * requests are made by a call that cannot be interposed, as libaio makes them. */
#include "strangers.h"

#include <linux/aio_abi.h>

static aio_context_t context;
static int file, bell;

static void complete(void)
{
    static char byte = 'x';
    struct iocb request = {.aio_fildes = file,
                           .aio_lio_opcode = IOCB_CMD_PWRITE,
                           .aio_buf = (uintptr_t)&byte,
                           .aio_nbytes = 1,
                           .aio_flags = IOCB_FLAG_RESFD,
                           .aio_resfd = bell};
    struct iocb *requests = &request;
    CHECK_EQ(bare(SYS_io_submit, context, 1, (long)&requests, 0, 0, 0), 1);
}

/* Never read; each completion is an edge. */
static void expect_completions(int ep)
{
    for (int i = 0; i < 3; i++) {
        complete();
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE(ep);
    }
}

static void *complete_later(void *unused)
{
    pause_ms(20);
    complete();
    return unused;
}

void test(void)
{
    char path[] = "/tmp/epolyfill-XXXXXX";
    uint64_t value;
    if (bare(SYS_io_setup, 64, (long)&context, 0, 0, 0, 0) != 0)
        exit(77);
    file = OK(mkstemp(path));
    OK(unlink(path));
    bell = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    int ep = new_epoll();
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);

    expect_completions(ep);

    /* While a thread sleeps. */
    struct thread thread;
    start_thread(&thread, complete_later, NULL);
    CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
    join_thread(&thread);
    EXPECT_NONE(ep);

    /* The program adds too, and each addition is reported once. */
    add_one(bell);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE(ep);
    CHECK_EQ(read(bell, &value, sizeof value), 8);
    CHECK_EQ(value, 5);
    EXPECT_NONE(ep);

    /* The same amount as was read. */
    for (int i = 0; i < 5; i++)
        complete();
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE(ep);

    /* A description that the program has added to, registered in another instance and modified
     * there. */
    int other = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), second = new_epoll();
    bell = other;
    ADD(ep, other, EPOLLIN | EPOLLET, 2);
    add_one(other);
    EXPECT_ONE(ep, 2, EPOLLIN);
    CHECK_EQ(read(other, &value, sizeof value), 8);
    DEL(ep, other);
    ADD(second, other, EPOLLIN | EPOLLET, 3);
    MOD(second, other, EPOLLIN | EPOLLET, 1);
    expect_completions(second);
}

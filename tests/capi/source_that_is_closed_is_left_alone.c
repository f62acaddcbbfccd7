/* Once a source is closed, the library does not touch the next file under its number: whichever
 * call closed it, seen by the library or not, and however many threads are posting. */
#include "capi.h"
#include "oracle.h"

#include <sched.h>

#define POSTERS 3

static bool everything_is_seen;
static int source;
static atomic_bool stop;

static void *post(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        int posted = epolyfill_source_post(source, EPOLLIN);
        CHECK(posted == 0 || errno == EBADF || errno == EINVAL);
        int cleared = epolyfill_source_clear(source, EPOLLIN);
        CHECK(cleared == 0 || errno == EBADF || errno == EINVAL);
    }
    return NULL;
}

static void by_a_thread_while_others_post(void)
{
    struct thread thread[POSTERS];
    source = OK(epolyfill_source_new(0));
    for (int i = 0; i < POSTERS; i++)
        start_thread(&thread[i], post, NULL);
    for (int64_t until = now_ns() + 2000000000; now_ns() < until;) {
        int pair[2];
        char byte;
        OK(epolyfill_source_close(source));
        OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
        CHECK_EQ(pair[0], source);
        sched_yield();
        CHECK_ERRNO(recv(pair[1], &byte, 1, 0), EAGAIN);
        /* Nor is anything read from it. */
        CHECK_EQ(write(pair[1], "", 1), 1);
        sched_yield();
        CHECK_EQ(recv(pair[0], &byte, 1, 0), 1);
        OK(close(pair[0]));
        OK(close(pair[1]));
        CHECK_EQ(OK(epolyfill_source_new(0)), source);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < POSTERS; i++)
        join_thread(&thread[i]);
    OK(epolyfill_source_close(source));
}

/* Where the library sees every close, it asks the kernel only every 10 ms. */
static void expect_no_source(int fd, int error)
{
    if (everything_is_seen)
        pause_ms(30);
    CHECK_ERRNO(epolyfill_source_post(fd, EPOLLIN), error);
    CHECK_ERRNO(epolyfill_source_clear(fd, EPOLLIN), error);
    CHECK_ERRNO(epolyfill_source_events(fd), error);
    CHECK_ERRNO(epolyfill_source_close(fd), error);
}

static void by_a_call_that_is_not_seen(void)
{
    int pair[2];
    char byte;
    source = OK(epolyfill_source_new(0));
    OK(epolyfill_source_post(source, EPOLLIN));
    CHECK_EQ(bare(SYS_close, source, 0, 0, 0, 0, 0), 0);
    expect_no_source(source, EBADF);
    source = OK(epolyfill_source_new(0));
    OK(epolyfill_source_post(source, EPOLLIN));
    CHECK_EQ(bare(SYS_close, source, 0, 0, 0, 0, 0), 0);
    CHECK_EQ(bare(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)pair, 0, 0), 0);
    CHECK_EQ(pair[0], source);
    expect_no_source(source, EINVAL);
    CHECK_ERRNO(recv(pair[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
    OK(close(pair[0]));
    OK(close(pair[1]));
}

void test(void)
{
    everything_is_seen = strcmp(getenv("EPOLYFILL_TEST_WAY"), "side") != 0;
    by_a_call_that_is_not_seen();
    by_a_thread_while_others_post();
}

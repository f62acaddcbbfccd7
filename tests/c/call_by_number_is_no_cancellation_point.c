/* A thread that waits by number goes on when it is cancelled, and ends at its next cancellation
 * point (W10). A thread that can be cancelled at any moment ends in the wait. */
#include "harness.h"

static int ep;
static bool at_any_moment;
static atomic_bool returned;

static long wait_by_number(uintptr_t way, int timeout_ms)
{
    struct epoll_event at[4];
    struct pollfd p = {.fd = ep, .events = POLLIN};
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};
    struct timeval time = {timeout_ms / 1000, timeout_ms % 1000 * 1000l};
    fd_set r;
    FD_ZERO(&r);
    FD_SET(ep, &r);
    switch (way) {
    case 0:
        return syscall(SYS_epoll_pwait, ep, at, 4, timeout_ms, NULL, 8L);
    case 1:
        return syscall(SYS_epoll_pwait2, ep, at, 4, &limit, NULL, 8L);
    case 2:
        return syscall(SYS_ppoll, &p, 1L, &limit, NULL, 8L);
    case 3:
        return syscall(SYS_pselect6, ep + 1, &r, NULL, NULL, &limit, NULL);
#ifdef SYS_poll
    case 4:
        return syscall(SYS_epoll_wait, ep, at, 4, timeout_ms);
    case 5:
        return syscall(SYS_poll, &p, 1L, timeout_ms);
    case 6:
        return syscall(SYS_select, ep + 1, &r, NULL, NULL, &time);
#endif
    }
    (void)time;
    return -2;
}

#ifdef SYS_poll
enum { WAYS = 7 };
#else
enum { WAYS = 4 };
#endif

static void *waits(void *way)
{
    if (at_any_moment)
        PT(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
    /* An event ends it, and in the other case the cancellation. */
    CHECK_EQ(wait_by_number((uintptr_t)way, 60000), 1);
    atomic_store(&returned, true);
    for (;;)
        pause();
    return NULL;
}

void test(void)
{
    int fd[2];
    ep = new_epoll();
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    for (int round = 0; round < 2; round++) {
        at_any_moment = round;
        for (uintptr_t way = 0; way < WAYS; way++) {
            struct thread thread;
            atomic_store(&returned, false);
            start_thread(&thread, waits, (void *)way);
            wait_until_blocked(thread.tid);
            PT(pthread_cancel(thread.id));
            if (!at_any_moment) {
                wait_until_blocked(thread.tid);
                write_bytes(fd[1], 1);
            }
            CHECK(join_thread(&thread) == PTHREAD_CANCELED);
            CHECK_EQ(atomic_load(&returned), !at_any_moment);
            wait_events(ep, 0);
            read_all(fd[0]);
            write_bytes(fd[1], 1);
            EXPECT_ONE(ep, 1, EPOLLIN);
            read_all(fd[0]);
        }
    }
}

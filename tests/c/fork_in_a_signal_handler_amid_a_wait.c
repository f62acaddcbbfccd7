/* A signal handler that interrupts a wait forks. In the parent and in the child the handler returns
 * into the wait, which ends with EINTR (W8). The child has the instance like any other child (D5),
 * for waits of all its threads and for closes. */
#include "harness.h"

static volatile pid_t child;

static void on_signal(int signal)
{
    (void)signal;
    int error = errno;
    child = fork();
    errno = error;
}

/* As long as the instance lives, its registrations report; a close reaches the peer at once, also
 * while another thread waits (D4). */
static void works(int ep)
{
    int fd[2], pair[2];
    make_pipe(fd);
    make_pair(SOCK_STREAM, pair);
    ADD(ep, fd[0], EPOLLIN, 2);
    ADD(ep, pair[0], EPOLLIN, 3);
    for (int i = 0; i < 3; i++) {
        struct waiter waiter;
        start_waiter(&waiter, ep);
        write_bytes(fd[1], 1);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].data.u64, 2);
        CHECK_EQ(read_all(fd[0]), 1);
    }
    struct waiter waiter;
    start_waiter(&waiter, ep);
    OK(close(pair[0]));
    expect_eof_at_once(pair[1]);
    write_bytes(fd[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);
    DEL(ep, fd[0]);
    EXPECT_NONE_NOW(ep);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(pair[1]));
}

struct alarm_clock {
    pthread_t victim;
    _Atomic pid_t tid;
};

static void *ring_when_blocked(void *arg)
{
    struct alarm_clock *clock = arg;
    wait_until_blocked(clock->tid);
    PT(pthread_kill(clock->victim, SIGUSR1));
    return NULL;
}

/* This thread waits, so it is the only thread of the child. */
static void try(int registered)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    if (registered)
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    struct alarm_clock clock = {.victim = pthread_self(), .tid = gettid()};
    struct thread ringer;
    child = -1;
    start_thread(&ringer, ring_when_blocked, &clock);
    struct epoll_event event;
    CHECK_ERRNO(epoll_wait(ep, &event, 1, -1), EINTR);
    if (child == 0) {
        alarm(BOUND_MS / 1000);
        if (registered) {
            write_bytes(fd[1], 1);
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        works(ep);
        OK(close(ep));
        CHECK_ERRNO(epoll_wait(ep, &event, 1, 0), EBADF);
        /* The freed records can be used for another instance. */
        ep = new_epoll();
        works(ep);
        OK(close(ep));
        _exit(0);
    }
    OK(child);
    join_thread(&ringer);
    expect_exit_0(child);
    if (registered)
        DEL(ep, fd[0]);
    works(ep);
    OK(close(ep));
    OK(close(fd[0]));
    OK(close(fd[1]));
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    OK(sigaction(SIGUSR1, &action, NULL));
    for (int i = 0; i < 5; i++) {
        try(0);
        try(1);
    }
}

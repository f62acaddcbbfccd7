/* Several threads wait on an instance whose last number is closed by close, dup2, dup3,
 * close_range, closefrom, or a close in a signal handler: all keep waiting, each gets its event,
 * and the registrations are reported until the last thread has left (W11). */
#include "harness.h"

#define WAITERS 3
enum road { CLOSE, DUP2, DUP3, CLOSE_RANGE, CLOSEFROM, HANDLER, RAW, TWINS, ROADS };
static const char *const names[] = {"close", "dup2", "dup3", "close_range", "closefrom", "handler", "syscall", "twins"};
static int victim;

static void close_it(int signal)
{
    (void)signal;
    close(victim);
}

static void go(enum road road, int ep, int twin, int null)
{
    switch (road) {
    case CLOSE:
        OK(close(ep));
        break;
    case DUP2:
        OK(dup2(null, ep));
        break;
    case DUP3:
        OK(dup3(null, ep, O_CLOEXEC));
        break;
    case CLOSE_RANGE:
        OK(close_range(ep, ep, 0));
        break;
    case CLOSEFROM:
        closefrom(ep);
        break;
    case HANDLER:
        victim = ep;
        signal(SIGUSR1, close_it);
        OK(raise(SIGUSR1));
        break;
    case RAW:
        OK(syscall(SYS_close, ep));
        break;
    default:
        OK(close(ep));
        OK(close(twin));
    }
}

void test(void)
{
    for (int round = 0; round < 2; round++)
        for (enum road road = CLOSE; road < ROADS; road++) {
            subject = names[road];
            int null = OK(open("/dev/null", O_RDONLY)), fd[WAITERS];
            for (int i = 0; i < WAITERS; i++)
                fd[i] = OK(eventfd(0, EFD_NONBLOCK));
            int made = new_epoll(), ep = OK(fcntl(made, F_DUPFD, 500)), twin = road == TWINS ? OK(dup(ep)) : -1;
            OK(close(made));
            for (int i = 0; i < WAITERS; i++)
                ADD(ep, fd[i], EPOLLIN | EPOLLET | EPOLLONESHOT, i);
            struct waiter waiters[WAITERS];
            for (int i = 0; i < WAITERS; i++)
                start_waiter_by(&waiters[i], i % 2 ? PWAIT2 : WAIT, ep, -1, NULL);
            go(road, ep, twin, null);
            struct epoll_event at;
            CHECK_ERRNO(epoll_wait(ep, &at, 1, 0), road == DUP2 || road == DUP3 ? EINVAL : EBADF);
            for (int i = 0; i < WAITERS; i++)
                if (!atomic_load(&waiters[i].done))
                    wait_until_blocked(waiters[i].thread.tid);

            /* One event at a time, each for one of the threads. */
            unsigned seen = 0;
            for (int i = 0; i < WAITERS; i++) {
                add_one(fd[i]);
                int done = 0;
                UNTIL((done = waiters[0].done + waiters[1].done + waiters[2].done) == i + 1);
            }
            for (int i = 0; i < WAITERS; i++) {
                CHECK_EQ(join_waiter(&waiters[i]), 1);
                seen |= 1u << waiters[i].at[0].data.u64;
            }
            CHECK_EQ(seen, (1u << WAITERS) - 1);

            /* The number is free for any file. */
            if (road == DUP2 || road == DUP3)
                OK(close(ep));
            for (int i = 0; i < WAITERS; i++)
                OK(close(fd[i]));
            OK(close(null));
        }
}

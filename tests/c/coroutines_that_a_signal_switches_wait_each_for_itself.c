/* A timer's signal handler switches between coroutines, each in a wait of its own: each wait
 * reports its own events, and the waits that were switched away from return EINTR when they resume
 * (W8). */
#include "harness.h"

#include <sys/time.h>
#include <ucontext.h>

enum { COROUTINES = 3, STACK = 1 << 16, TURNS = 40 };

static ucontext_t home, context[COROUTINES];
static char room[COROUTINES][STACK];
static volatile int current, turns[COROUTINES], is_over, ended;
static int ep, bell[COROUTINES];

static void on_signal(int signal)
{
    (void)signal;
    int before = current, next = (before + 1) % COROUTINES, saved = errno;
    if (is_over)
        return;
    current = next;
    add_one(bell[next]);
    OK(swapcontext(&context[before], &context[next]));
    /* The other coroutines have left theirs. */
    errno = saved;
}

static void set_blocked(int how)
{
    sigset_t alarm;
    OK(sigemptyset(&alarm));
    OK(sigaddset(&alarm, SIGALRM));
    PT(pthread_sigmask(how, &alarm, NULL));
}

static void run(int mine)
{
    set_blocked(SIG_UNBLOCK);
    while (!is_over) {
        struct epoll_event at[COROUTINES];
        int n = epoll_wait(ep, at, COROUTINES, -1);
        CHECK(n > 0 || (n == -1 && errno == EINTR));
        for (int i = 0; i < n; i++) {
            uint64_t count;
            /* Another coroutine may have read it first. */
            CHECK(read(bell[at[i].data.u64], &count, sizeof count) == sizeof count || errno == EAGAIN);
        }
        turns[mine]++;
        is_over |= mine == 0 && turns[0] >= TURNS && turns[1] >= TURNS && turns[2] >= TURNS;
    }
    /* The others return from the calls in which they were switched away. */
    ended++;
    OK(setcontext(ended == COROUTINES ? &home : &context[(mine + 1) % COROUTINES]));
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    volatile int was_here = 0;
    /* setcontext sets the signal mask before the registers: no handler may run in between. */
    set_blocked(SIG_BLOCK);
    ep = new_epoll();
    for (int i = 0; i < COROUTINES; i++) {
        bell[i] = OK(eventfd(0, EFD_NONBLOCK));
        ADD(ep, bell[i], EPOLLIN, i);
        OK(getcontext(&context[i]));
        context[i].uc_stack.ss_sp = room[i];
        context[i].uc_stack.ss_size = STACK;
        makecontext(&context[i], (void (*)(void))run, 1, i);
    }
    OK(getcontext(&home));
    if (!was_here) {
        was_here = 1;
        OK(sigaction(SIGALRM, &action, NULL));
        OK(setitimer(ITIMER_REAL, &often, NULL));
        OK(setcontext(&context[0]));
    }
    OK(setitimer(ITIMER_REAL, &never, NULL));
    for (int i = 0; i < COROUTINES; i++)
        read_all(bell[i]);
    for (int i = 0; i < COROUTINES; i++) {
        add_one(bell[i]);
        EXPECT_ONE(ep, i, EPOLLIN);
        OK(close(bell[i]));
    }
    EXPECT_NONE_NOW(ep);
}

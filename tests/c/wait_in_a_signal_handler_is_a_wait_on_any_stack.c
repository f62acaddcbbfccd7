/* A signal handler waits while it interrupts a wait of its thread, on the same instance or another
 * one, on any stack: the thread's own, an alternate one above or below it, or a coroutine's. Its
 * wait reports, and the interrupted one is EINTR, or is left by siglongjmp. Either way both
 * instances are as before (W8). */
#include "harness.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

enum { PLAIN, ALTERNATE, COROUTINE, STACKS };
enum { ROUNDS = 25, ALL = 2 * STACKS * 2 * ROUNDS, STACK = 1 << 16 };

static int outer, inner, bell[2];
static volatile int stack, jumps, armed;
static volatile uint32_t reported;
static sigjmp_buf out;
static ucontext_t interrupted, coroutine;
static char *room;
static atomic_int done;

static void wait_inside(void)
{
    struct epoll_event at = {0};
    char byte;
    OK(write(bell[1], "x", 1));
    int n = epoll_wait(inner, &at, 1, -1);
    CHECK_EQ(read(bell[0], &byte, 1), 1);
    /* A handler that interrupts the library's own work cannot wait (docs/differences.md): it waits
     * at the next signal. */
    armed = n == -1 && errno == EINTR && !on_the_kernel();
    CHECK(n == 1 || armed);
    reported = at.events;
}

static void on_signal(int signal)
{
    (void)signal;
    if (!armed)
        return;
    armed = 0;
    if (stack == COROUTINE) {
        OK(getcontext(&coroutine));
        coroutine.uc_stack.ss_sp = room;
        coroutine.uc_stack.ss_size = STACK;
        coroutine.uc_link = &interrupted;
        makecontext(&coroutine, wait_inside, 0);
        OK(swapcontext(&interrupted, &coroutine));
    } else {
        wait_inside();
    }
    if (jumps && !armed)
        siglongjmp(out, 1);
}

static void interrupt_a_wait(void)
{
    struct itimerval soon = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    char byte;
    reported = 0;
    armed = 1;
    OK(setitimer(ITIMER_REAL, &soon, NULL));
    if (sigsetjmp(out, 1) == 0) {
        do {
            struct epoll_event at;
            CHECK_ERRNO(epoll_wait(outer, &at, 1, -1), EINTR);
        } while (armed);
        CHECK(!jumps);
    }
    OK(setitimer(ITIMER_REAL, &never, NULL));
    CHECK_EQ(reported, EPOLLIN);
    EXPECT_NONE_NOW(inner);
    OK(write(bell[1], "x", 1));
    EXPECT_ONE(inner, 1, EPOLLIN);
    CHECK_EQ(read(bell[0], &byte, 1), 1);
    EXPECT_NONE_NOW(inner);
    EXPECT_NONE_NOW(outer);
}

static void *try_all(void *where)
{
    stack_t alternate = {.ss_sp = where, .ss_size = STACK}, none = {.ss_flags = SS_DISABLE};
    for (int same = 0; same < 2; same++) {
        outer = new_epoll();
        inner = same ? outer : new_epoll();
        OK(pipe(bell));
        ADD(inner, bell[0], EPOLLIN, 1);
        for (stack = PLAIN; stack < STACKS; stack++)
            for (jumps = 0; jumps < 2; jumps++) {
                OK(sigaltstack(stack == ALTERNATE ? &alternate : &none, NULL));
                for (int round = 0; round < ROUNDS; round++) {
                    interrupt_a_wait();
                    done++;
                }
            }
        /* A leftover pin on the instance would keep its registration alive. */
        close(outer);
        if (!same)
            close(inner);
        close(bell[0]);
        CHECK_ERRNO(write(bell[1], "x", 1), EPIPE);
        close(bell[1]);
    }
    OK(sigaltstack(&none, NULL));
    return NULL;
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct thread thread;
    sigset_t alarms;
    OK(sigaction(SIGALRM, &action, NULL));
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    room = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *below = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED && below != MAP_FAILED);
    try_all(below);
    /* A thread's stack lies below the stack of the first thread. */
    char above[STACK];
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    start_thread(&thread, try_all, above);
    PT(pthread_sigmask(SIG_BLOCK, &alarms, NULL));
    /* The bound is for each round. */
    for (int i = ALL + 1; i <= 2 * ALL; i++)
        UNTIL(done >= i);
    join_thread(&thread);
}

/* Whichever signals the library uses, the program reads back the masks and actions that it set, its
 * waits for signals end by its signals alone, a program that it starts begins with its mask, and
 * each number is its own as soon as it handles it (W8). */
#include "harness.h"

#include <spawn.h>
#include <sys/select.h>
#include <sys/syscall.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define SIGNALS 64

extern char **environ;

static int ep, fd[2];
static volatile sig_atomic_t handled[SIGNALS + 1];
static sigset_t none, all;

static void on_signal(int signal)
{
    handled[signal]++;
}

/* libc keeps two signals for itself. */
static bool is_libcs(int signal)
{
    return signal > 31 && signal < SIGRTMIN;
}

static bool may_be_blocked(int signal)
{
    return !is_libcs(signal) && signal != SIGKILL && signal != SIGSTOP;
}

static void something_happens(void)
{
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(fd[0]), 1);
    EXPECT_NONE_NOW(ep);
}

static bool is_blocked(int signal)
{
    sigset_t by_thread, by_process;
    uint64_t by_number = 0;
    PT(pthread_sigmask(SIG_BLOCK, NULL, &by_thread));
    OK(sigprocmask(SIG_SETMASK, NULL, &by_process));
    OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &by_number, sizeof by_number));
    CHECK_EQ(sigismember(&by_thread, signal), sigismember(&by_process, signal));
    CHECK_EQ(sigismember(&by_thread, signal), by_number >> (signal - 1) & 1);
    if (signal < 32)
        CHECK_EQ(siggetmask() >> (signal - 1) & 1, sigismember(&by_thread, signal));
    return sigismember(&by_thread, signal);
}

static void expect_all_blocked_but(int exception, bool otherwise)
{
    for (int signal = 1; signal <= SIGNALS; signal++)
        if (may_be_blocked(signal))
            CHECK_EQ(is_blocked(signal), (signal == exception) != otherwise);
}

static void masks(void)
{
    expect_all_blocked_but(0, false);
    for (int signal = 1; signal <= SIGNALS; signal++) {
        if (!may_be_blocked(signal))
            continue;
        sigset_t one, before;
        uint64_t word = 1ull << (signal - 1), old = 0;
        sigemptyset(&one), sigaddset(&one, signal);
        PT(pthread_sigmask(SIG_BLOCK, &one, &before));
        CHECK_EQ(sigismember(&before, signal), 0);
        expect_all_blocked_but(signal, false);
        something_happens();
        OK(sigprocmask(SIG_SETMASK, &none, &before));
        CHECK_EQ(sigismember(&before, signal), 1);
        CHECK(!is_blocked(signal));
        OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &word, &old, sizeof word));
        CHECK_EQ(old, 0);
        CHECK(is_blocked(signal));
        OK(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &word, &old, sizeof word));
        CHECK_EQ(old, word);
        OK(sighold(signal));
        CHECK(is_blocked(signal));
        OK(sigrelse(signal));
        CHECK(!is_blocked(signal));
        something_happens();
    }
    OK(sigprocmask(SIG_SETMASK, &all, NULL));
    expect_all_blocked_but(0, true);
    something_happens();
    OK(sigprocmask(SIG_UNBLOCK, &all, NULL));
    expect_all_blocked_but(0, false);
    CHECK_EQ(sigblock(1 << (SIGIO - 1)), 0);
    CHECK_EQ(sigsetmask(0), 1 << (SIGIO - 1));
    CHECK(!is_blocked(SIGIO));
    CHECK_ERRNO(sighold(0), EINVAL);
    CHECK_ERRNO(sigprocmask(77, &none, NULL), EINVAL);
}

/* Each wait is with an empty mask, amid an arrival that nobody takes. */
static void waits_end_by_the_programs_signals_alone(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    OK(sigaction(SIGUSR1, &act, NULL));
    OK(sigprocmask(SIG_SETMASK, &all, NULL));
    write_bytes(fd[1], 1);
    OK(raise(SIGUSR1));
    OK(ppoll(NULL, 0, &(struct timespec){0}, &all));
    CHECK_EQ(handled[SIGUSR1], 0);
    CHECK_ERRNO(sigsuspend(&none), EINTR);
    CHECK_EQ(handled[SIGUSR1], 1);
    sigset_t others = none;
    sigaddset(&others, SIGUSR1);
    write_bytes(fd[1], 1);
    OK(ppoll(NULL, 0, &(struct timespec){.tv_nsec = QUIET_MS * 1000000}, &others));
    write_bytes(fd[1], 1);
    OK(pselect(0, NULL, NULL, NULL, &(struct timespec){.tv_nsec = QUIET_MS * 1000000}, &others));
    OK(raise(SIGUSR1));
    write_bytes(fd[1], 1);
    struct pollfd nothing = {.fd = -1};
    CHECK_ERRNO(ppoll(&nothing, 1, &(struct timespec){.tv_sec = BOUND_MS / 1000}, &none), EINTR);
    CHECK_EQ(handled[SIGUSR1], 2);
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(fd[0]), 4);
}

static void *suspends(void *arg)
{
    int before = handled[SIGUSR1];
    CHECK_ERRNO(sigsuspend(&none), EINTR);
    CHECK_EQ(handled[SIGUSR1], before + 1);
    return arg;
}

/* A thread that sleeps until it gets a signal of the program sleeps through all arrivals. */
static void sleep_lasts(void)
{
    struct thread thread;
    OK(sigprocmask(SIG_SETMASK, &all, NULL));
    start_thread(&thread, suspends, NULL);
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    for (int i = 0; i < 20; i++)
        something_happens();
    PT(pthread_kill(thread.id, SIGUSR1));
    join_thread(&thread);
}

/* A shell would begin by unblocking all. */
static void program_begins_with(const char *mask)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "SigBlk:.*%s$", mask);
    pid_t child;
    PT(posix_spawnp(&child, "grep", NULL, NULL, (char *[]){"grep", "-q", pattern, "/proc/self/status", NULL}, environ));
    expect_exit_0(child);
}

static void programs_that_are_started(void)
{
    sigset_t high = none;
    for (int signal = SIGRTMIN; signal <= SIGNALS; signal++)
        sigaddset(&high, signal);
    sigaddset(&high, SIGIO);
    program_begins_with("0000000000000000");
    OK(sigprocmask(SIG_SETMASK, &high, NULL));
    program_begins_with(SIGRTMIN == 34 ? "fffffffe10000000" : "fffffffc10000000");
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    program_begins_with("0000000000000000");
}

static void actions_are_the_default(void)
{
    for (int signal = SIGRTMIN; signal <= SIGNALS; signal++) {
        struct sigaction set = {.sa_handler = SIG_DFL}, old = {.sa_handler = on_signal};
        OK(sigaction(signal, NULL, &old));
        CHECK(old.sa_handler == SIG_DFL);
        OK(sigaction(signal, &set, NULL));
        old = (struct sigaction){.sa_handler = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART, .sa_mask = all};
        OK(sigaction(signal, &set, &old));
        CHECK(old.sa_handler == SIG_DFL && !(old.sa_flags & (SA_SIGINFO | SA_RESTART)) && !sigismember(&old.sa_mask, SIGINT));
    }
    CHECK(signal(SIGIO, SIG_DFL) == SIG_DFL);
    CHECK(sigset(SIGIO, SIG_HOLD) == SIG_DFL);
    CHECK(is_blocked(SIGIO));
    CHECK(sigset(SIGIO, SIG_DFL) == SIG_HOLD);
    CHECK(!is_blocked(SIGIO));
    CHECK_ERRNO((intptr_t)signal(SIGIO, SIG_ERR), EINVAL);
    OK(siginterrupt(SIGIO, 1));
    something_happens();
}

/* From here on each signal is the program's. */
static void every_signal_can_be_handled(void)
{
    write_bytes(fd[1], 1);
    for (int signal = SIGNALS; signal >= SIGRTMIN; signal--) {
        struct sigaction set = {.sa_handler = on_signal}, old;
        OK(sigaction(signal, &set, &old));
        CHECK(old.sa_handler == SIG_DFL);
        CHECK_EQ(handled[signal], 0);
        OK(raise(signal));
        CHECK_EQ(handled[signal], 1);
        OK(sigaction(signal, NULL, &old));
        CHECK(old.sa_handler == on_signal);
    }
    CHECK(signal(SIGIO, on_signal) == SIG_DFL);
    OK(raise(SIGIO));
    CHECK_EQ(handled[SIGIO], 1);
    CHECK(signal(SIGIO, SIG_IGN) == on_signal);
    expect_all_blocked_but(0, false);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(fd[0]), 1);
    for (int i = 0; i < 20; i++)
        something_happens();
    for (int signal = SIGRTMIN; signal <= SIGNALS; signal++)
        CHECK_EQ(handled[signal], 1);
}

void test(void)
{
    sigemptyset(&none), sigfillset(&all);
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    ep = new_epoll();
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLIN, 1);
    something_happens();
    masks();
    waits_end_by_the_programs_signals_alone();
    sleep_lasts();
    programs_that_are_started();
    actions_are_the_default();
    every_signal_can_be_handled();
}

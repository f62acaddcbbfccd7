/* A program whose instructions are trapped can do with SIGSYS whatever it could do without: it reads
 * back what it set, by names and by numbers, and its handler gets the signals that it is sent. But
 * its instructions work whatever is blocked or ignored. */
#define IS_RUST
#include "raw_go.h"

#if HAS_GO_CALLS
#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* The headers declare X/Open's sigpause alone. */
int sigpause_of_bsd(int mask) __asm__("sigpause");
int __sigpause(int signal_or_mask, int is_signal);

static int ep, fd;
static volatile int handled, wrong;
static volatile siginfo_t last;

/* Calls that are trapped. */
static void use(void)
{
    struct epoll_event out;
    uint64_t one = 1;
    CHECK_EQ(go_wait(ep, &out, 1, 0), 0);
    CHECK_EQ(go_write(fd, (long)&one, sizeof one, 0), sizeof one);
    CHECK_EQ(go_wait(ep, &out, 1, BOUND_MS), 1);
    CHECK_EQ(go_read(fd, (long)&one, sizeof one, 0), sizeof one);
}

static void on_sigsys(int signal, siginfo_t *info, void *context)
{
    (void)context;
    wrong += signal != SIGSYS;
    last = *info;
    handled++;
    use();
}

static void on_sigsys_plain(int signal)
{
    wrong += signal != SIGSYS;
    handled++;
}

static void on_other(int signal)
{
    (void)signal;
    use();
    handled++;
}

static bool is_in(const sigset_t *set)
{
    return sigismember(set, SIGSYS) == 1;
}

static bool is_blocked(void)
{
    sigset_t by_process, by_thread;
    uint64_t by_number = 0;
    OK(sigprocmask(SIG_BLOCK, NULL, &by_process));
    PT(pthread_sigmask(SIG_SETMASK, NULL, &by_thread));
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&by_number, 8, 0, 0), 0);
    CHECK_EQ(is_in(&by_process), is_in(&by_thread));
    CHECK_EQ(is_in(&by_process), by_number >> (SIGSYS - 1) & 1);
    CHECK_EQ(siggetmask() >> (SIGSYS - 1) & 1, is_in(&by_process));
    return is_in(&by_process);
}

static void masks(void)
{
    sigset_t all, none, one, before;
    sigfillset(&all), sigemptyset(&none), sigemptyset(&one), sigaddset(&one, SIGSYS);
    uint64_t word = 1ull << (SIGSYS - 1), everything = ~0ull, old = 0;
    CHECK(!is_blocked());
    PT(pthread_sigmask(SIG_SETMASK, &all, &before));
    CHECK(!is_in(&before) && is_blocked());
    use();
    OK(sigprocmask(SIG_UNBLOCK, &one, &before));
    CHECK(is_in(&before) && sigismember(&before, SIGUSR1) == 1 && !is_blocked());
    OK(sigprocmask(SIG_BLOCK, &one, NULL));
    CHECK(is_blocked());
    OK(sigprocmask(SIG_SETMASK, &none, &before));
    CHECK(is_in(&before) && !is_blocked());
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&word, (long)&old, 8, 0, 0), 0);
    CHECK(!(old & word) && is_blocked());
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&everything, (long)&old, 8, 0, 0), 0);
    CHECK_EQ(old, word);
    use();
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&everything, (long)&old, 8, 0, 0), 0);
    CHECK(old & word && !is_blocked());
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, 77, (long)&word, 0, 8, 0, 0), -EINVAL);
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&word, 0, 16, 0, 0), -EINVAL);
    CHECK_EQ(go_syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, 0, 8, 0, 0), -EFAULT);
    CHECK_ERRNO(sigprocmask(77, &one, NULL), EINVAL);
    CHECK_EQ(pthread_sigmask(77, &one, NULL), EINVAL);
    CHECK(!is_blocked());
    CHECK_EQ(sigblock(1 << (SIGSYS - 1)), 0);
    CHECK(is_blocked());
    CHECK_EQ(sigsetmask(0), 1 << (SIGSYS - 1));
    CHECK(!is_blocked());
    OK(sighold(SIGSYS));
    CHECK(is_blocked());
    use();
    OK(sigrelse(SIGSYS));
    CHECK(!is_blocked());
}

static void actions(void)
{
    struct kernel_action {
        uint64_t handler, flags, restorer, mask;
    } word = {.handler = (uint64_t)SIG_IGN, .mask = 1ull << (SIGUSR1 - 1)}, old = {0};
    struct sigaction set = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER}, back;
    sigfillset(&set.sa_mask);
    OK(sigaction(SIGSYS, &set, &back));
    CHECK(back.sa_handler == SIG_DFL);
    memset(&back, 0, sizeof back);
    OK(sigaction(SIGSYS, NULL, &back));
    CHECK(back.sa_sigaction == on_sigsys && is_in(&back.sa_mask) && sigismember(&back.sa_mask, SIGHUP) == 1);
    CHECK(sigismember(&back.sa_mask, SIGKILL) == 0);
    CHECK_EQ(back.sa_flags & (SA_SIGINFO | SA_NODEFER | SA_RESTART), SA_SIGINFO | SA_NODEFER);
    use();
    CHECK_EQ(go_syscall(SYS_rt_sigaction, SIGSYS, (long)&word, (long)&old, 8, 0, 0), 0);
    CHECK_EQ(old.handler, (uint64_t)on_sigsys);
    use();
    CHECK_EQ(go_syscall(SYS_rt_sigaction, SIGSYS, 0, (long)&old, 8, 0, 0), 0);
    CHECK_EQ(old.handler, (uint64_t)SIG_IGN);
    CHECK_EQ(old.mask, word.mask);
    CHECK_EQ(go_syscall(SYS_rt_sigaction, SIGSYS, 0, (long)&old, 4, 0, 0), -EINVAL);
    CHECK_EQ(go_syscall(SYS_rt_sigaction, 77, 0, (long)&old, 8, 0, 0), -EINVAL);
    CHECK(signal(SIGSYS, on_sigsys_plain) == SIG_IGN);
    OK(sigaction(SIGSYS, NULL, &back));
    CHECK_EQ(back.sa_flags & (SA_RESTART | (int)SA_RESETHAND), SA_RESTART);
    OK(siginterrupt(SIGSYS, 1));
    OK(sigaction(SIGSYS, NULL, &back));
    CHECK(!(back.sa_flags & SA_RESTART) && back.sa_handler == on_sigsys_plain);
    CHECK(sysv_signal(SIGSYS, SIG_DFL) == on_sigsys_plain);
    CHECK(sigset(SIGSYS, SIG_HOLD) == SIG_DFL);
    CHECK(is_blocked());
    CHECK(sigset(SIGSYS, SIG_DFL) == SIG_HOLD);
    CHECK(!is_blocked());
    OK(sigignore(SIGSYS));
    use();
    CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
    /* Those of other signals keep it in their masks. */
    set = (struct sigaction){.sa_handler = on_other};
    sigfillset(&set.sa_mask);
    OK(sigaction(SIGUSR1, &set, NULL));
    OK(sigaction(SIGUSR1, NULL, &back));
    CHECK(is_in(&back.sa_mask));
    old = (struct kernel_action){0};
    CHECK_EQ(go_syscall(SYS_rt_sigaction, SIGUSR1, 0, (long)&old, 8, 0, 0), 0);
    CHECK(old.mask >> (SIGSYS - 1) & 1);
    CHECK_EQ(go_syscall(SYS_rt_sigaction, SIGUSR2, (long)&old, 0, 8, 0, 0), 0);
    OK(sigaction(SIGUSR2, NULL, &back));
    CHECK(is_in(&back.sa_mask) && back.sa_handler == on_other);
    handled = 0;
    raise(SIGUSR2);
    CHECK_EQ(handled, 1);
    sigdelset(&set.sa_mask, SIGSYS);
    OK(sigaction(SIGUSR2, &set, &back));
    CHECK(is_in(&back.sa_mask));
    OK(sigaction(SIGUSR2, NULL, &back));
    CHECK(!is_in(&back.sa_mask));
}

/* A handler during which everything is blocked makes calls, whichever call it interrupts. */
static void calls_in_handlers(void)
{
    sigset_t but_one, before, usr1;
    sigfillset(&but_one), sigdelset(&but_one, SIGUSR1);
    sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1);
    uint64_t word = ~0ull & ~(1ull << (SIGUSR1 - 1));
    struct epoll_event out;
    fd_set none;
    FD_ZERO(&none);
    struct timespec limit = {BOUND_MS / 1000, 0};
    OK(sigprocmask(SIG_BLOCK, &usr1, &before));
#define INTERRUPTED(name, call)                                                                                        \
    do {                                                                                                               \
        subject = name;                                                                                                \
        handled = 0;                                                                                                   \
        raise(SIGUSR1);                                                                                                \
        CHECK_EQ(call, -1);                                                                                            \
        CHECK_EQ(handled, 1);                                                                                          \
    } while (0)
#define NEGATIVE(call) ((call) == -EINTR ? -1 : 0)
    struct sigaction action = {.sa_handler = on_other};
    OK(sigaction(SIGUSR1, &action, NULL));
    INTERRUPTED("sigsuspend", sigsuspend(&but_one));
    INTERRUPTED("sigpause", sigpause_of_bsd(~(1 << (SIGUSR1 - 1))));
    INTERRUPTED("__sigpause of a mask", __sigpause(~(1 << (SIGUSR1 - 1)), 0));
    INTERRUPTED("__sigpause of a signal", __sigpause(SIGUSR1, 1));
    INTERRUPTED("sigpause of X/Open", sigpause(SIGUSR1));
    INTERRUPTED("ppoll", ppoll(NULL, 0, &limit, &but_one));
    INTERRUPTED("pselect", pselect(0, &none, NULL, NULL, &limit, &but_one));
    INTERRUPTED("epoll_pwait", epoll_pwait(ep, &out, 1, BOUND_MS, &but_one));
    INTERRUPTED("rt_sigsuspend", NEGATIVE(go_syscall(SYS_rt_sigsuspend, (long)&word, 8, 0, 0, 0, 0)));
    limit = (struct timespec){BOUND_MS / 1000, 0};
    INTERRUPTED("ppoll by number", NEGATIVE(go_syscall(SYS_ppoll, 0, 0, (long)&limit, (long)&word, 8, 0)));
    limit = (struct timespec){BOUND_MS / 1000, 0};
    long sixth[2] = {(long)&word, 8};
    INTERRUPTED("pselect6", NEGATIVE(go_syscall(SYS_pselect6, 0, 0, 0, 0, (long)&limit, (long)sixth)));
    INTERRUPTED("epoll_pwait by number", NEGATIVE(go_syscall(SYS_epoll_pwait, ep, (long)&out, 1, BOUND_MS, (long)&word, 8)));
    struct pollfd set = {.fd = ep, .events = POLLIN};
    limit = (struct timespec){BOUND_MS / 1000, 0};
    INTERRUPTED("ppoll of an instance", ppoll(&set, 1, &limit, &but_one));
    subject = NULL;
    OK(sigprocmask(SIG_SETMASK, &before, NULL));
    sigfillset(&action.sa_mask);
    OK(sigaction(SIGUSR1, &action, NULL));
    handled = 0;
    raise(SIGUSR1);
    CHECK_EQ(handled, 1);
}

static void deliveries(void)
{
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSYS, &action, NULL));
    handled = wrong = 0;
    raise(SIGSYS);
    CHECK_EQ(handled, 1);
    CHECK_EQ(last.si_pid, getpid());
    OK(kill(getpid(), SIGSYS));
    CHECK_EQ(handled, 2);
    CHECK_EQ(last.si_code, SI_USER);
    OK(sigqueue(getpid(), SIGSYS, (union sigval){.sival_int = 4711}));
    CHECK_EQ(handled, 3);
    CHECK_EQ(last.si_value.sival_int, 4711);
    CHECK(!is_blocked());
    /* It waits as long as it is blocked. */
    sigset_t one;
    sigemptyset(&one), sigaddset(&one, SIGSYS);
    OK(sigprocmask(SIG_BLOCK, &one, NULL));
    raise(SIGSYS);
    use();
    CHECK_EQ(handled, 3);
    OK(sigprocmask(SIG_UNBLOCK, &one, NULL));
    CHECK_EQ(handled, 4);
    CHECK(signal(SIGSYS, SIG_IGN) == (void (*)(int))(void (*)(void))on_sigsys);
    raise(SIGSYS);
    CHECK(sysv_signal(SIGSYS, on_sigsys_plain) == SIG_IGN);
    raise(SIGSYS);
    CHECK_EQ(handled, 5);
    CHECK_EQ(wrong, 0);
    CHECK(signal(SIGSYS, SIG_DFL) == SIG_DFL);
}

/* A child gets what its parent had, and ends as the kernel ends it. */
static void children(void)
{
    pid_t child = OK(fork());
    if (child == 0) {
        use();
        raise(SIGSYS);
        _exit(1);
    }
    int status;
    CHECK_EQ(OK(waitpid(child, &status, 0)), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void *in_a_thread(void *arg)
{
    use();
    masks();
    calls_in_handlers();
    return arg;
}

void test(void)
{
    struct rlimit no_core = {0, 0};
    OK(setrlimit(RLIMIT_CORE, &no_core));
    ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, fd, EPOLLIN, 1);
    masks();
    actions();
    calls_in_handlers();
    deliveries();
    children();
    pthread_t thread;
    PT(pthread_create(&thread, NULL, in_a_thread, NULL));
    PT(pthread_join(thread, NULL));
    sigset_t all;
    sigfillset(&all);
    pthread_attr_t attributes;
    PT(pthread_attr_init(&attributes));
    PT(pthread_attr_setsigmask_np(&attributes, &all));
    pthread_t blocked;
    PT(pthread_create(&blocked, &attributes, (void *(*)(void *))(void (*)(void))use, NULL));
    PT(pthread_join(blocked, NULL));
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif

/* A handler that interrupts control calls, waits and closes forks. A child that does not return
 * from the handler ends at once; one that returns continues the interrupted call. */
#include "harness.h"

static atomic_int forks, failed;
static int comes_back;
static volatile sig_atomic_t is_child;
static volatile pid_t last;

static void on_alarm(int signal)
{
    (void)signal;
    int error = errno;
    if (is_child || last)
        return;
    pid_t child = fork();
    if (child == 0) {
        if (!comes_back)
            _exit(0);
        is_child = 1;
        alarm(BOUND_MS / 1000);
    } else if (child > 0) {
        atomic_fetch_add(&forks, 1);
        if (comes_back) {
            last = child;
        } else {
            int status;
            if (waitpid(child, &status, 0) != child || status != 0)
                atomic_fetch_add(&failed, 1);
        }
    }
    errno = error;
}

/* Makes calls that take locks of all kinds, until `end` or until this is a child. On the kernel, an
 * item that the child adds in the middle of an ADD is in the parent's instance too. */
static void calls(int ep, int spare, int64_t end)
{
    while (now_ns() < end && !is_child && !last) {
        int event = OK(eventfd(1, 0));
        CHECK(ctl(ep, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLET, 5) == 0 || errno == EEXIST);
        for (int i = 0; i < 20; i++)
            MOD(ep, spare, EPOLLIN, 4);
        epoll_wait(ep, &(struct epoll_event){0}, 1, 0);
        OK(close(event));
    }
}

static void run(timer_t timer, long period_us)
{
    struct itimerspec often = {{0, period_us * 1000}, {0, period_us * 1000}};
    OK(timer_settime(timer, 0, &often, NULL));
}

void test(void)
{
    int ep = new_epoll(), spare = OK(eventfd(0, 0));
    ADD(ep, spare, EPOLLIN, 4);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    sigaddset(&action.sa_mask, SIGUSR1);
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(timer_create(CLOCK_MONOTONIC, &how, &timer));

    run(timer, 500);
    /* On a busy system there are few forks in that time. */
    do
        calls(ep, spare, now_ns() + 500000000);
    while (atomic_load(&forks) <= 20);
    run(timer, 0);
    CHECK_EQ(atomic_load(&failed), 0);

    comes_back = 1;
    for (int i = 0; i < 40; i++) {
        last = 0;
        run(timer, 300 + 7 * i);
        calls(ep, spare, now_ns() + BOUND_MS * 1000000ll);
        OK(sigprocmask(SIG_BLOCK, &action.sa_mask, NULL));
        if (is_child) {
            wait_events(ep, 0);
            OK(close(ep));
            int own = new_epoll(), event = OK(eventfd(1, 0));
            ADD(own, event, EPOLLIN, 6);
            EXPECT_ONE(own, 6, EPOLLIN);
            OK(close(event));
            EXPECT_NONE_NOW(own);
            _exit(0);
        }
        run(timer, 0);
        CHECK(last > 0);
        expect_exit_0(last);
        OK(sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL));
    }
    add_one(spare);
    EXPECT_ONE(ep, 4, EPOLLIN);
}

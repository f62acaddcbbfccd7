/* A signal handler that interrupts a system call instruction, or what the library has put in its
 * place, may make such calls itself, on the interrupted stack or on an alternate one. It may also
 * leave the call by siglongjmp, as often as it wants. */
#include "raw_go.h"

#if HAS_GO_CALLS
#include <setjmp.h>
#include <sys/time.h>

static int inner_ep, inner_fd;
static volatile int handled, wrong;
static volatile bool jumps;
static sigjmp_buf back;

/* A wait in a handler that interrupted the library amid its work may end with EINTR. */
static bool is_right(long ready)
{
    return ready == 1 || (ready == -EINTR && !on_the_kernel());
}

static void handler(int signal)
{
    (void)signal;
    int before = errno;
    struct epoll_event out[2];
    char buffer[8];
    long ready = go_wait(inner_ep, out, 2, 0);
    if (!is_right(ready) || (ready == 1 && out[0].data.u64 != 77))
        wrong++;
    if (go_read(inner_fd + 1000, (long)buffer, 8, 0) != -EBADF)
        wrong++;
    if (!is_right(go_syscall(SYS_epoll_wait, inner_ep, (long)out, 2, 0, 0, 0)))
        wrong++;
    errno = before;
    handled++;
    if (jumps)
        siglongjmp(back, 1);
}

static void set_timer(int us)
{
    struct itimerval interval = {{0, us}, {0, us}};
    OK(setitimer(ITIMER_REAL, &interval, NULL));
}

/* Fast calls under a timer, so that each instruction of the way in and out is interrupted. */
static void calls_are_interrupted(int ep, int fd)
{
    struct epoll_event out;
    char buffer[8];
    handled = wrong = 0;
    set_timer(100);
    for (int i = 0; handled < 1500; i++) {
        errno = 1234;
        CHECK_EQ(go_read(fd, (long)buffer, 8, 0), -EAGAIN);
        long n = go_wait(ep, &out, 1, i % 64 == 0 ? 1 : 0);
        CHECK(n == 0 || n == -EINTR);
        CHECK_EQ(go_syscall(SYS_write, -1, 0, 0, 0, 0, 0), -EBADF);
        CHECK_EQ(errno, 1234);
    }
    set_timer(0);
    CHECK_EQ(wrong, 0);
}

/* Many more jumps than calls could be nested. Each is the only one under way: siglongjmp restores
 * the mask before the stack, so signals that come faster than the handler returns fill the stack. */
static void waits_are_left(int ep)
{
    struct epoll_event out;
    handled = wrong = 0;
    jumps = true;
    sigsetjmp(back, 1);
    while (handled < 500) {
        OK(setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 1 + handled % 100 * 2}, NULL));
        go_wait(ep, &out, 1, 1000);
    }
    jumps = false;
    CHECK_EQ(wrong, 0);
    CHECK_EQ(go_wait(ep, &out, 1, 0), 0);
}

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, fd, EPOLLIN, 1);
    inner_ep = new_epoll(), inner_fd = OK(eventfd(1, EFD_NONBLOCK));
    ADD(inner_ep, inner_fd, EPOLLIN, 77);
    stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    OK(sigaltstack(&alternate, NULL));
    for (int flags = 0; flags <= SA_ONSTACK; flags += SA_ONSTACK) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
        OK(sigaction(SIGALRM, &action, NULL));
        subject = flags ? "on an alternate stack" : "on the interrupted stack";
        calls_are_interrupted(ep, fd);
        waits_are_left(ep);
        calls_are_interrupted(ep, fd);
    }
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif

/* A handler interrupts poll() and select() of an instance, cancellation ends them, and ppoll and
 * pselect swap the signal mask, as with any descriptor (N1, W8, W10). */
#include "harness.h"

#include <sys/select.h>

static int ep;
static const sigset_t *mask;
static void on_signal(int signal) { (void)signal; }

static void *polls(void *arg)
{
    struct pollfd p = {.fd = ep, .events = POLLIN};
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ep, &in);
    switch ((uintptr_t)arg) {
    case 0:
        CHECK_ERRNO(poll(&p, 1, -1), EINTR);
        break;
    case 1:
        CHECK_ERRNO(ppoll(&p, 1, NULL, mask), EINTR);
        break;
    case 2:
        CHECK_ERRNO(select(ep + 1, &in, NULL, NULL, NULL), EINTR);
        break;
    default:
        CHECK_ERRNO(pselect(ep + 1, &in, NULL, NULL, NULL, mask), EINTR);
    }
    return NULL;
}

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    sigset_t open;
    sigemptyset(&open);
    ep = new_epoll();
    ADD(ep, OK(eventfd(0, 0)), EPOLLIN, 1);
    for (uintptr_t i = 0; i < 4; i++)
        for (int masked = 0; masked < 2; masked++)
            for (int cancelled = 0; cancelled < 2; cancelled++) {
                struct thread thread;
                mask = masked ? &open : NULL;
                start_thread(&thread, polls, (void *)i);
                wait_until_blocked(thread.tid);
                if (cancelled)
                    PT(pthread_cancel(thread.id));
                else
                    PT(pthread_kill(thread.id, SIGUSR1));
                CHECK(join_thread(&thread) == (cancelled ? PTHREAD_CANCELED : NULL));
            }
    EXPECT_NONE_NOW(ep);
}

/* A thread with a pending cancellation is cancelled when its wait begins, even if events are ready
 * and the timeout is 0 (W10). */
#include "harness.h"

static int ep;

static void *cancels_itself(void *arg)
{
    struct epoll_event at[4];
    int state;
    PT(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state));
    PT(pthread_cancel(pthread_self()));

    /* While cancellation is disabled nothing happens. */
    CHECK_EQ(wait_by((uintptr_t)arg, ep, at, 4, 0, NULL), 1);
    PT(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
    wait_by((uintptr_t)arg, ep, at, 4, 0, NULL);
    die(__FILE__, __LINE__, "the wait was no cancellation point");
}

void test(void)
{
    ep = new_epoll();
    ADD(ep, OK(eventfd(1, 0)), EPOLLIN, 1);
    for (uintptr_t call = WAIT; call <= PWAIT2; call++) {
        struct thread thread;
        start_thread(&thread, cancels_itself, (void *)call);
        CHECK(join_thread(&thread) == PTHREAD_CANCELED);
        EXPECT_ONE(ep, 1, EPOLLIN);
    }
}

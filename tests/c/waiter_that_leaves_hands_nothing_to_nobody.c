/* A wait that times out, is interrupted or is cancelled takes no later event from the other waiters
 * (W9, W10). */
#include "harness.h"

static void on_signal(int signal) { (void)signal; }

void test(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    OK(sigaction(SIGUSR1, &action, NULL));
    for (int leave = 0; leave < 3; leave++) {
        int ep = new_epoll(), fd = OK(eventfd(0, 0));
        struct waiter old, leaver;
        ADD(ep, fd, EPOLLIN | EPOLLET, 1);
        start_waiter(&old, ep);
        start_waiter_by(&leaver, WAIT, ep, leave == 0 ? 100 : -1, NULL);
        if (leave == 1)
            PT(pthread_kill(leaver.thread.id, SIGUSR1));
        if (leave == 2)
            PT(pthread_cancel(leaver.thread.id));
        void *result = join_thread(&leaver.thread);
        if (leave == 2)
            CHECK(result == PTHREAD_CANCELED);
        else
            CHECK_EQ(leaver.result, leave == 0 ? 0 : -1);
        CHECK(!atomic_load(&old.done));
        add_one(fd);
        CHECK_EQ(join_waiter(&old), 1);
    }
}

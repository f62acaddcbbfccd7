/* Items are fed and closed while a thread waits all the time: no wait that begins after a close
 * reports the closed item (D1, T10). */
#include "harness.h"

#define ROUNDS 4000
static int ep, stop;
static atomic_int closed; /* all items up to this one are closed */

static void *watcher(void *arg)
{
    (void)arg;
    for (;;) {
        int before = atomic_load(&closed);
        struct events events = wait_events(ep, -1);
        for (int i = 0; i < events.n; i++) {
            if (events.at[i].data.u64 == 0)
                return NULL;
            CHECK((int)events.at[i].data.u64 > before);
        }
    }
}

void test(void)
{
    struct thread thread;
    ep = new_epoll();
    stop = OK(eventfd(0, 0));
    ADD(ep, stop, EPOLLIN, 0);
    start_thread(&thread, watcher, NULL);
    for (int i = 1; i <= ROUNDS; i++) {
        int fd[2];
        make_pipe(fd);
        ADD(ep, fd[0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
        write_bytes(fd[1], 1);
        OK(close(fd[0]));
        atomic_store(&closed, i);
        OK(close(fd[1]));
    }
    add_one(stop);
    join_thread(&thread);
}

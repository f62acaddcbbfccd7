/* Forks while other threads add, wait and close: no child inherits a lock that is held (D5). */
#include "harness.h"

static atomic_bool over;
static int ep;

static void *busy(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        int fd = OK(eventfd(1, EFD_CLOEXEC));
        ADD(ep, fd, EPOLLIN | EPOLLONESHOT, 1);
        wait_events(ep, 0);
        OK(close(fd));
    }
    return NULL;
}

void test(void)
{
    struct thread threads[3];
    ep = new_epoll();
    for (int i = 0; i < 3; i++)
        start_thread(&threads[i], busy, NULL);
    for (int i = 0; i < 100; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            alarm(BOUND_MS / 1000);
            int own = new_epoll(), fd = OK(eventfd(1, 0));
            ADD(own, fd, EPOLLIN, 1);
            EXPECT_ONE(own, 1, EPOLLIN);
            ADD(ep, fd, EPOLLIN, 2);
            wait_events(ep, 0);
            DEL(ep, fd);
            OK(close(fd));
            OK(close(ep));
            _exit(0);
        }
        expect_exit_0(child);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 3; i++)
        join_thread(&threads[i]);
}

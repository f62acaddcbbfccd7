/* Several threads fork at the same time while others wait, add, read and close: no child and no
 * parent hangs, and each child has the registrations (D5). */
#include "harness.h"

static atomic_bool over;
static int ep, fixed;

static void *busy(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        int fd[2];
        make_pipe(fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        write_bytes(fd[1], 1);
        wait_events(ep, 0);
        read_all(fd[0]);
        OK(close(fd[0]));
        OK(close(fd[1]));
    }
    return NULL;
}

static void *waits(void *arg)
{
    (void)arg;
    while (!atomic_load(&over))
        wait_events(ep, 5);
    return NULL;
}

static void ends_at_once(void)
{
    pid_t child = OK(vfork());
    if (child == 0)
        _exit(0);
    expect_exit_0(child);
}

static void *forks(void *arg)
{
    for (int i = 0; i < 40; i++) {
        if (arg != NULL)
            ends_at_once();
        pid_t child = OK(fork());
        if (child == 0) {
            alarm(BOUND_MS / 1000);
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fixed, EPOLLIN, 2), EEXIST);
            int own = new_epoll(), fd = OK(eventfd(1, 0));
            ADD(own, fd, EPOLLIN | EPOLLET, 1);
            EXPECT_ONE(own, 1, EPOLLIN);
            add_one(fd);
            EXPECT_ONE(own, 1, EPOLLIN);
            OK(close(fd));
            EXPECT_NONE_NOW(own);
            _exit(0);
        }
        expect_exit_0(child);
    }
    return NULL;
}

void test(void)
{
    struct thread others[4], forkers[4];
    ep = new_epoll();
    fixed = OK(eventfd(0, EFD_CLOEXEC));
    ADD(ep, fixed, EPOLLIN, 2);
    for (int i = 0; i < 4; i++)
        start_thread(&others[i], i % 2 ? waits : busy, NULL);
    for (int i = 0; i < 4; i++)
        start_thread(&forkers[i], forks, i % 2 ? &over : NULL);
    for (int i = 0; i < 4; i++)
        join_thread(&forkers[i]);
    atomic_store(&over, true);
    for (int i = 0; i < 4; i++)
        join_thread(&others[i]);
    add_one(fixed);
    EXPECT_ONE(ep, 2, EPOLLIN);
}

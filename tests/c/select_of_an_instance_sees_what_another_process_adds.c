/* poll() and select() that sleep on an instance see an arrival from another process, although older
 * data is unread and was reported edge-triggered (N1, E1). */
#include "harness.h"

#include <sys/select.h>

static int by_poll(int ep)
{
    struct pollfd p = {.fd = ep, .events = POLLIN};
    return poll(&p, 1, BOUND_MS);
}

static int by_select(int ep)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ep, &set);
    struct timeval limit = {BOUND_MS / 1000, 0};
    return select(ep + 1, &set, NULL, NULL, &limit);
}

static int by_pselect(int ep)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ep, &set);
    struct timespec limit = {BOUND_MS / 1000, 0};
    return pselect(ep + 1, &set, NULL, NULL, &limit, NULL);
}

void test(void)
{
    struct {
        const char *name;
        int (*look)(int);
    } looks[] = {{"poll", by_poll}, {"select", by_select}, {"pselect", by_pselect}};
    for (int i = 0; i < 3; i++) {
        subject = looks[i].name;
        int ep = new_epoll(), fd[2];
        make_pipe(fd);
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        pid_t child = OK(fork());
        if (child == 0) {
            /* The sleep has probably begun by now; an earlier arrival must be seen too. */
            pause_ms(QUIET_MS);
            write_bytes(fd[1], 1);
            _exit(0);
        }
        CHECK_EQ(looks[i].look(ep), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        expect_exit_0(child);
    }
}

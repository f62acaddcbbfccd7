/* A process watches its end of a pipe among many descriptors. Once it has been waited for, the
 * other end sees the close (D4). */
#include "harness.h"

#include <sys/prctl.h>

enum { ROUNDS = 5, MANY = 700 };

_Noreturn static void watch_and_end(int fd, int ready)
{
    struct epoll_event events[4];
    OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
    int ep = new_epoll();
    for (int i = 0; i < MANY; i++)
        ADD(ep, OK(eventfd(0, EFD_CLOEXEC)), EPOLLIN, 2);
    ADD(ep, fd, 0, 1);
    OK(epoll_wait(ep, events, 4, 1));
    write_bytes(ready, 1);
    for (;;)
        OK(epoll_wait(ep, events, 4, -1));
}

void test(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        int fd[2], ready[2];
        char byte;
        make_pipe(fd);
        OK(pipe2(ready, O_CLOEXEC));
        pid_t child = OK(fork());
        if (child == 0) {
            OK(close(fd[0]));
            watch_and_end(fd[1], ready[1]);
        }
        OK(close(fd[1]));
        OK(close(ready[1]));
        CHECK_EQ(read(ready[0], &byte, 1), 1);
        OK(close(ready[0]));
        OK(kill(child, SIGKILL));
        CHECK_EQ(waitpid(child, NULL, 0), child);
        CHECK_EQ(read(fd[0], &byte, 1), 0);
        OK(close(fd[0]));
    }
}

// Makes each call of epoll with usual and unusual arguments; trace.py compares the trace with that of
// strace(1).
// audit: nothing
#include "see.h"
#include <sys/syscall.h>

int main(void)
{
    int fds[2], epfd;
    sigset_t signals;
    struct timespec limit = {0, 5000000};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x1234567812345678};
    struct epoll_event events[200];
    pair(fds);
    CHECK(epoll_create(5) == 5);
    CHECK(epoll_create1(0) == 6);
    CHECK(epoll_create1(77) == -1);
    epfd = new_instance();
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event) == 0);
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event) == -1);
    event.events = EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDHUP | EPOLLMSG | EPOLLONESHOT;
    CHECK(epoll_ctl(epfd, EPOLL_CTL_MOD, fds[0], &event) == 0);
    event.events = 0;
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fds[1], &event) == 0);
    event.events = EPOLLIN;
    CHECK(epoll_ctl(epfd, EPOLL_CTL_MOD, fds[0], &event) == 0);
    CHECK(epoll_ctl(epfd, 77, fds[0], &event) == -1);
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, 1000, &event) == -1);
    CHECK(epoll_wait(epfd, events, 3, 0) == 0);
    CHECK(epoll_wait(99, events, 3, -1) == -1);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(epoll_wait(epfd, events, 200, -1) == 1);
    CHECK(epoll_pwait(epfd, events, 3, 10, NULL) == 1);
    CHECK(sigemptyset(&signals) == 0);
    CHECK(epoll_pwait(epfd, events, 3, 10, &signals) == 1);
    CHECK(sigaddset(&signals, SIGINT) == 0 && sigaddset(&signals, SIGRTMIN + 3) == 0);
    CHECK(epoll_pwait(epfd, events, 3, 10, &signals) == 1);
    CHECK(sigfillset(&signals) == 0 && sigdelset(&signals, SIGTERM) == 0);
    CHECK(epoll_pwait2(epfd, events, 3, &limit, &signals) == 1);
    CHECK(read(fds[0], &event, 1) == 1);
    CHECK(epoll_pwait2(epfd, events, 3, &limit, NULL) == 0);
    CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, fds[1], NULL) == 0);
    CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, fds[0], &event) == 0);
    return 7;
}

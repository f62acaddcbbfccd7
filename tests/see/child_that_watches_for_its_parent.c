// A forked child finds a registration of its parent's instance, and spins on it.
// audit: fault spin watch
#include "see.h"

__attribute__((noinline)) static void watch_else(int epfd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    CHECK(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
}

int main(void)
{
    int fds[2], more[2], epfd = new_instance();
    pair(fds);
    watch(epfd, fds[0], EPOLLOUT);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        // A place of the child's own, which must not be taken for that of the parent.
        pair(more);
        watch_else(new_instance(), more[0]);
        spin(epfd);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}

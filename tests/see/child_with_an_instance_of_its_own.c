// A child closes the instance of its parent, and makes one of its own.
// audit: nothing
#include "see.h"

int main(void)
{
    int epfd = new_instance(), fds[2];
    pair(fds);
    watch(epfd, fds[0], EPOLLIN);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct epoll_event event;
        CHECK(close(epfd) == 0);
        epfd = new_instance();
        watch(epfd, fds[0], EPOLLIN);
        CHECK(write(fds[1], "x", 1) == 1);
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1 && read(fds[0], &event, 1) == 1);
        rest(200);
        exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}

// A child changes the instance of its parent, which lives.
// audit: suspect foreign-instance
#include "see.h"

int main(void)
{
    int epfd = new_instance(), fds[2];
    pair(fds);
    watch(epfd, fds[0], EPOLLIN);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(epoll_ctl(epfd, EPOLL_CTL_DEL, fds[0], NULL) == 0);
        rest(200);
        exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}

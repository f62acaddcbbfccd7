// Reads each message until EAGAIN.
// audit: nothing
#include "see.h"

int main(void)
{
    int fds[2], epfd = new_instance();
    char bytes[60];
    pair(fds);
    watch(epfd, fds[0], EPOLLIN | EPOLLET);
    pid_t child = sender(fds[1], 6, 100);
    for (int i = 0; i < 6; i++) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 20000) == 1);
        while (read(fds[0], bytes, sizeof bytes) > 0)
            ;
        CHECK(errno == EAGAIN);
        acknowledge(fds[0]);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}

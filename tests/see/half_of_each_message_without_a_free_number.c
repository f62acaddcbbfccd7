// Takes 60 of the 100 bytes of each message, while no descriptor number is free.
// audit: fault slept-edge watch
#include "see.h"

int main(void)
{
    int fds[2], epfd = new_instance();
    char bytes[60];
    pair(fds);
    watch(epfd, fds[0], EPOLLIN | EPOLLET);
    pid_t child = sender(fds[1], 6, 100);
    take_every_number();
    for (int i = 0; i < 6; i++) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 20000) == 1);
        CHECK(read(fds[0], bytes, sizeof bytes) == sizeof bytes);
        acknowledge(fds[0]);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}

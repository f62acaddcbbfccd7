// Asks for room with nothing to write.
// audit: fault spin watch
#include "see.h"

int main(void)
{
    int fds[2], epfd = new_instance();
    pair(fds);
    watch(epfd, fds[0], EPOLLIN | EPOLLOUT);
    for (int i = 0; i < 5000; i++) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        struct timespec little = {0, 20000};
        nanosleep(&little, NULL);
    }
    return 7;
}

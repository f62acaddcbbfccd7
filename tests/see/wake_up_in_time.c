// Wakes a loop by an eventfd; another file has the number afterwards, and is used as such.
// audit: nothing
#include "see.h"
#include <sys/eventfd.h>

int main(void)
{
    int epfd = new_instance(), fds[2], wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event;
    uint64_t one = 1;
    CHECK(wake >= 0);
    watch(epfd, wake, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        CHECK(write(wake, &one, sizeof one) == sizeof one);
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        CHECK(read(wake, &one, sizeof one) == sizeof one);
    }
    CHECK(close(wake) == 0);
    pair(fds);
    CHECK(fds[0] == wake && read(wake, &one, sizeof one) == -1 && errno == EAGAIN);
    CHECK(write(wake, &one, sizeof one) == sizeof one);
    return 7;
}

// Wakes a loop by an eventfd that the loop has closed.
// audit: fault wake-astray watch
#include "see.h"
#include <sys/eventfd.h>

int main(void)
{
    int epfd = new_instance(), wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event;
    uint64_t one = 1;
    CHECK(wake >= 0);
    watch(epfd, wake, EPOLLIN);
    CHECK(write(wake, &one, sizeof one) == sizeof one);
    CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
    CHECK(read(wake, &one, sizeof one) == sizeof one);
    CHECK(close(wake) == 0);
    CHECK(write(wake, &one, sizeof one) == -1 && errno == EBADF);
    return 7;
}

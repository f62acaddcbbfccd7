// Goes on after the wait has failed.
// audit: fault failing-wait
#include "see.h"

int main(void)
{
    int epfd = new_instance();
    CHECK(close(epfd) == 0);
    for (int i = 0; i < 1000; i++) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == -1 && errno == EBADF);
    }
    return 7;
}

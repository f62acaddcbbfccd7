// Spins until it is killed; what was found until then is there.
// audit: fault spin watch
#include "see.h"

int main(void)
{
    int fds[2], epfd = new_instance();
    pair(fds);
    CHECK(close(fds[1]) == 0);
    watch(epfd, fds[0], 0);
    for (int i = 0; i < 20000; i++) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
    }
    rest(50);
    raise(SIGKILL);
}

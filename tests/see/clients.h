// Clients that come one after another, send something, and go.
#include "see.h"

static void serve(int epfd, int clients, int is_closed)
{
    for (int i = 0; i < clients; i++) {
        int fds[2];
        char bytes[16];
        struct epoll_event event;
        pair(fds);
        watch(epfd, fds[0], EPOLLIN | EPOLLRDHUP | EPOLLET);
        CHECK(write(fds[1], "hello", 5) == 5 && close(fds[1]) == 0);
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1 && event.data.fd == fds[0]);
        CHECK(read(fds[0], bytes, sizeof bytes) == 5 && read(fds[0], bytes, sizeof bytes) == 0);
        if (is_closed)
            CHECK(close(fds[0]) == 0);
    }
    rest(300);
}

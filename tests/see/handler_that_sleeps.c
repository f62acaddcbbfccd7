// Sleeps in the handler of one client while another one waits. No call that the library sees is
// made meanwhile.
// audit: fault slow-handler watch
#include "see.h"

int main(void)
{
    int first[2], second[2], epfd = new_instance();
    char byte;
    pair(first);
    pair(second);
    watch(epfd, first[0], EPOLLIN);
    watch(epfd, second[0], EPOLLIN);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(write(first[1], "w", 1) == 1);
        rest(20);
        CHECK(write(second[1], "e", 1) == 1);
        _exit(0);
    }
    for (int i = 0; i < 2; i++) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        CHECK(read(event.data.fd, &byte, 1) == 1);
        if (byte == 'w')
            rest(600);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(write(first[1], "x", 1) == 1);
    struct epoll_event event;
    CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
    return 7;
}

// A child is forked when no descriptor number is free, so that it has no record, and fails.
// audit: nothing
// says: this process is not observed: its record cannot be made: Too many open files
#include "see.h"

int main(void)
{
    int status, epfd = new_instance();
    CHECK(close(epfd) == 0);
    take_every_number();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(close(epfd) == 0);
        for (int i = 0; i < 1000; i++) {
            struct epoll_event event;
            CHECK(epoll_wait(epfd, &event, 1, 5000) == -1 && errno == EBADF);
        }
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 7;
}

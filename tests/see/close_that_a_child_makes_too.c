// Closes a registered descriptor that the children have closed, or have as another file.
// audit: nothing
#include "see.h"

int main(void)
{
    int fds[2], other[2], gone[2], epfd = new_instance();
    struct epoll_event event;
    pair(fds);
    pair(other);
    CHECK(pipe(gone) == 0);
    watch(epfd, fds[0], EPOLLIN);
    watch(epfd, other[0], EPOLLIN);
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            char byte;
            CHECK(i == 0 ? close(fds[0]) == 0 : dup2(other[1], fds[0]) == fds[0]);
            CHECK(close(gone[1]) == 0);
            CHECK(read(gone[0], &byte, 1) == 0);
            _exit(0);
        }
    }
    rest(300);
    CHECK(close(fds[0]) == 0);
    CHECK(epoll_wait(epfd, &event, 1, 300) == 0);
    CHECK(close(gone[1]) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(waitpid(children[i], NULL, 0) == children[i]);
    return 7;
}

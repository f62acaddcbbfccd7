/* A control call that meets the close of its instance in another thread fails with EBADF, and no
 * signal is raised. */
#include "harness.h"

static void *closer(void *epfd)
{
    OK(close(*(int *)epfd));
    return NULL;
}

void test(void)
{
    enum { ROUNDS = 300, FILES = 50 };
    int fd[FILES];
    for (int i = 0; i < FILES; i++)
        fd[i] = OK(eventfd(1, EFD_NONBLOCK));
    for (int round = 0; round < ROUNDS; round++) {
        int epfd = new_epoll(), n = 0;
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, closer, &epfd), 0);
        struct epoll_event event = { .events = EPOLLIN };
        do {
            n = (n + 1) % FILES;
            if (epoll_ctl(epfd, EPOLL_CTL_DEL, fd[n], NULL) == -1 && errno == EBADF)
                break;
        } while (epoll_ctl(epfd, EPOLL_CTL_ADD, fd[n], &event) == 0);
        CHECK_EQ(errno, EBADF);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
}

/* More registrations than /proc/sys/fs/epoll/max_user_watches permits are ENOSPC (T9). On the
 * kernel's own epoll this could only be tested by changing the machine's setting; here a mount
 * hides the file behind another, for this process alone. */
#include "harness.h"

#include <sched.h>
#include <sys/mount.h>

#define LIMIT 5

static bool set_limit(void)
{
    char path[] = "/tmp/epolyfill-limit-XXXXXX", text[8];
    int fd = OK(mkstemp(path)), n = snprintf(text, sizeof text, "%d\n", LIMIT);
    CHECK_EQ(write(fd, text, n), n);
    OK(close(fd));
    bool done = (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                mount(path, "/proc/sys/fs/epoll/max_user_watches", NULL, MS_BIND, NULL) == 0;
    OK(unlink(path));
    return done;
}

void test(void)
{
    if (on_the_kernel() || !set_limit())
        exit(77);
    int ep = new_epoll(), other = new_epoll(), inner = new_epoll(), fd[LIMIT + 1];
    for (int i = 0; i <= LIMIT; i++)
        fd[i] = OK(eventfd(1, 0));
    for (int i = 0; i < LIMIT; i++)
        ADD(i % 2 ? ep : other, fd[i], EPOLLIN, i);

    /* In any instance, also a nested one; other errors take precedence. */
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd[LIMIT], EPOLLIN, 9), ENOSPC);
    CHECK_ERRNO(ctl(inner, EPOLL_CTL_ADD, fd[LIMIT], EPOLLIN, 9), ENOSPC);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, inner, EPOLLIN, 9), ENOSPC);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd[1], EPOLLIN, 9), EEXIST);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, 999, EPOLLIN, 9), EBADF);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd[LIMIT], EPOLLIN, 9), ENOENT);
    CHECK_EQ(wait_events(ep, 0).n, 2);

    /* Deletion, closing a registered descriptor, and closing the instance make room. */
    DEL(ep, fd[1]);
    ADD(ep, fd[LIMIT], EPOLLIN, 9);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd[1], EPOLLIN, 9), ENOSPC);
    OK(close(fd[LIMIT]));
    ADD(ep, fd[1], EPOLLIN, 9);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, inner, EPOLLIN, 9), ENOSPC);
    OK(close(other));
    ADD(ep, inner, EPOLLIN, 9);
    ADD(inner, fd[0], EPOLLIN, 9);
    ADD(inner, fd[2], EPOLLIN, 9);
    CHECK_ERRNO(ctl(inner, EPOLL_CTL_ADD, fd[4], EPOLLIN, 9), ENOSPC);
}

/* Makes a program for epoll one for the library's own names, linked with libepolyfill-side: the
 * tests of tests/c run on it so. */
#ifndef SIDE_H
#define SIDE_H

#include <epolyfill.h>
#include <errno.h>
#include <unistd.h>

static inline int side_create(int size)
{
    if (size > 0)
        return epolyfill_create1(0);
    errno = EINVAL;
    return -1;
}

#define epoll_create side_create
#define epoll_create1 epolyfill_create1
#define epoll_ctl epolyfill_ctl
#define epoll_wait epolyfill_wait
#define epoll_pwait epolyfill_pwait
#define epoll_pwait2 epolyfill_pwait2
#define close epolyfill_close

#endif

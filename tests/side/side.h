/* Turns a program that uses epoll into one that uses the library's own names, linked with
 * libepolyfill-side: so the tests of tests/c run on it. */
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

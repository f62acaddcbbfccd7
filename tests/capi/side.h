/* Read before the tests, and before what they have in common, where the library leaves libc's names alone: epoll by the library's own names. */
#ifndef SIDE_H
#define SIDE_H

#include <epolyfill.h>
#include <unistd.h>

#define epoll_create1 epolyfill_create1
#define epoll_ctl epolyfill_ctl
#define epoll_wait epolyfill_wait
#define epoll_pwait epolyfill_pwait
#define epoll_pwait2 epolyfill_pwait2
#define close epolyfill_close

#endif

/* libc's names for a test that is to make its system calls by number: each of them calls syscall().
 * The definitions of a program come before those of every library. Names that libc makes of several
 * system calls, or amid other work, are not here. */
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <fcntl.h>
#include <unistd.h>

enum { SIGSET_BYTES = 8 };

/* --- descriptors ------------------------------------------------------------------------------ */

int close(int fd) { return syscall(SYS_close, fd); }
int close_range(unsigned first, unsigned last, int flags) { return syscall(SYS_close_range, first, last, flags); }
int dup(int fd) { return syscall(SYS_dup, fd); }
#ifdef SYS_dup2
int dup2(int old, int new) { return syscall(SYS_dup2, old, new); }
#endif
int dup3(int old, int new, int flags) { return syscall(SYS_dup3, old, new, flags); }
int pipe2(int ends[2], int flags) { return syscall(SYS_pipe2, ends, flags); }
off_t lseek(int fd, off_t offset, int whence) { return syscall(SYS_lseek, fd, offset, whence); }

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return syscall(SYS_fcntl, fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    long argument = va_arg(list, long);
    va_end(list);
    return syscall(SYS_ioctl, fd, request, argument);
}

/* --- instances -------------------------------------------------------------------------------- */

int epoll_create1(int flags) { return syscall(SYS_epoll_create1, flags); }
int epoll_ctl(int ep, int op, int fd, struct epoll_event *event) { return syscall(SYS_epoll_ctl, ep, op, fd, event); }
int epoll_pwait(int ep, struct epoll_event *at, int max, int timeout, const sigset_t *mask)
{
    return syscall(SYS_epoll_pwait, ep, at, max, timeout, mask, SIGSET_BYTES);
}
int epoll_pwait2(int ep, struct epoll_event *at, int max, const struct timespec *limit, const sigset_t *mask)
{
    return syscall(SYS_epoll_pwait2, ep, at, max, limit, mask, SIGSET_BYTES);
}
#ifdef SYS_epoll_wait
int epoll_create(int size) { return syscall(SYS_epoll_create, size); }
int epoll_wait(int ep, struct epoll_event *at, int max, int timeout)
{
    return syscall(SYS_epoll_wait, ep, at, max, timeout);
}
#endif

/* --- polls ------------------------------------------------------------------------------------ */

int ppoll(struct pollfd *set, nfds_t n, const struct timespec *limit, const sigset_t *mask)
{
    struct timespec left;
    if (limit)
        left = *limit;
    return syscall(SYS_ppoll, set, n, limit ? &left : NULL, mask, SIGSET_BYTES);
}
int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *limit, const sigset_t *mask)
{
    struct {
        const sigset_t *mask;
        size_t bytes;
    } sixth = {mask, SIGSET_BYTES};
    struct timespec left;
    if (limit)
        left = *limit;
    return syscall(SYS_pselect6, n, r, w, e, limit ? &left : NULL, &sixth);
}
#ifdef SYS_poll
int poll(struct pollfd *set, nfds_t n, int timeout) { return syscall(SYS_poll, set, n, timeout); }
int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *limit)
{
    return syscall(SYS_select, n, r, w, e, limit);
}
#endif

/* --- calls that take -------------------------------------------------------------------------- */

ssize_t read(int fd, void *bytes, size_t n) { return syscall(SYS_read, fd, bytes, n); }
ssize_t readv(int fd, const struct iovec *iov, int n) { return syscall(SYS_readv, fd, iov, n); }
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
    return syscall(SYS_preadv2, fd, iov, n, at, 0L, flags);
}
ssize_t recv(int fd, void *bytes, size_t n, int flags) { return syscall(SYS_recvfrom, fd, bytes, n, flags, NULL, NULL); }
ssize_t recvfrom(int fd, void *bytes, size_t n, int flags, struct sockaddr *from, socklen_t *length)
{
    return syscall(SYS_recvfrom, fd, bytes, n, flags, from, length);
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags) { return syscall(SYS_recvmsg, fd, message, flags); }
int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *limit)
{
    return syscall(SYS_recvmmsg, fd, messages, n, flags, limit);
}
int accept(int fd, struct sockaddr *from, socklen_t *length) { return syscall(SYS_accept, fd, from, length); }
int accept4(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
    return syscall(SYS_accept4, fd, from, length, flags);
}
ssize_t mq_receive(mqd_t queue, char *bytes, size_t n, unsigned *priority)
{
    return syscall(SYS_mq_timedreceive, queue, bytes, n, priority, NULL);
}
int eventfd_read(int fd, eventfd_t *value) { return read(fd, value, sizeof *value) == sizeof *value ? 0 : -1; }

/* --- calls that give -------------------------------------------------------------------------- */

ssize_t write(int fd, const void *bytes, size_t n) { return syscall(SYS_write, fd, bytes, n); }
ssize_t writev(int fd, const struct iovec *iov, int n) { return syscall(SYS_writev, fd, iov, n); }
ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
    return syscall(SYS_pwritev2, fd, iov, n, at, 0L, flags);
}
ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    return syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}
ssize_t sendto(int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t length)
{
    return syscall(SYS_sendto, fd, bytes, n, flags, to, length);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) { return syscall(SYS_sendmsg, fd, message, flags); }
int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    return syscall(SYS_sendmmsg, fd, messages, n, flags);
}
ssize_t sendfile(int out, int in, off_t *at, size_t n) { return syscall(SYS_sendfile, out, in, at, n); }
int mq_send(mqd_t queue, const char *bytes, size_t n, unsigned priority)
{
    return syscall(SYS_mq_timedsend, queue, bytes, n, priority, NULL);
}
int eventfd_write(int fd, eventfd_t value) { return write(fd, &value, sizeof value) == sizeof value ? 0 : -1; }

/* --- calls that move -------------------------------------------------------------------------- */

ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags)
{
    return syscall(SYS_splice, in, in_at, out, out_at, n, flags);
}
ssize_t tee(int in, int out, size_t n, unsigned flags) { return syscall(SYS_tee, in, out, n, flags); }
ssize_t vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
    return syscall(SYS_vmsplice, fd, iov, n, flags);
}

/* --- calls that change what a descriptor reports ---------------------------------------------- */

int connect(int fd, const struct sockaddr *to, socklen_t length) { return syscall(SYS_connect, fd, to, length); }
int listen(int fd, int backlog) { return syscall(SYS_listen, fd, backlog); }
int shutdown(int fd, int how) { return syscall(SYS_shutdown, fd, how); }
int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    return syscall(SYS_getsockopt, fd, level, name, value, length);
}
int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    return syscall(SYS_setsockopt, fd, level, name, value, length);
}
int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    return syscall(SYS_timerfd_settime, fd, flags, new, old);
}
int signalfd(int fd, const sigset_t *mask, int flags) { return syscall(SYS_signalfd4, fd, mask, SIGSET_BYTES, flags); }

/* --- processes -------------------------------------------------------------------------------- */

int execve(const char *path, char *const words[], char *const environment[])
{
    return syscall(SYS_execve, path, words, environment);
}
int execveat(int fd, const char *path, char *const words[], char *const environment[], int flags)
{
    return syscall(SYS_execveat, fd, path, words, environment, flags);
}
int unshare(int flags) { return syscall(SYS_unshare, flags); }
pid_t _Fork(void)
{
#ifdef SYS_fork
    return syscall(SYS_fork);
#else
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
}

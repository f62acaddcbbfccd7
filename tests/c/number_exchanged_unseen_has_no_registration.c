/* A number that was closed by a raw system call, and now refers to another file, has no
 * registration: nothing is reported of the new file until it is added, and the old item still
 * reports through its dup (D1, D2, D3). */
#include "oracle.h"

enum kind_of { PIPE, SOCKET, EVENTFD, TIMER, KINDS };
static const char *const names[] = {"pipe", "socket", "eventfd", "timer"};

/* Returns a descriptor that is readable. */
static int readable(enum kind_of kind)
{
    int fd[2];
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    switch (kind) {
    case PIPE:
        make_pipe(fd);
        write_bytes(fd[1], 1);
        return fd[0];
    case SOCKET:
        make_pair(SOCK_STREAM, fd);
        write_bytes(fd[1], 1);
        return fd[0];
    case EVENTFD:
        return OK(eventfd(1, EFD_NONBLOCK));
    default:
        fd[0] = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
        OK(timerfd_settime(fd[0], 0, &soon, NULL));
        struct pollfd p = {.fd = fd[0], .events = POLLIN};
        CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
        return fd[0];
    }
}

static void run(enum kind_of before, enum kind_of after, uint32_t mode, bool reported, bool has_twin)
{
    char what[96];
    snprintf(what, sizeof what, "%s for %s, mode %#x, %s, %s", names[after], names[before], mode,
             reported ? "reported before" : "never reported", has_twin ? "with a dup" : "alone");
    subject = what;
    int ep = new_epoll(), fd = readable(before), other = readable(after), twin = has_twin ? OK(dup(fd)) : -1;
    ADD(ep, fd, EPOLLIN | mode, 1);
    if (reported) {
        EXPECT_ONE(ep, 1, EPOLLIN);
        /* The library compares numbers periodically, not at each report. */
        pause_ms(50);
    }
    CHECK_EQ(bare(SYS_dup3, other, fd, O_CLOEXEC, 0, 0, 0), fd);

    if (has_twin) {
        /* The report is of the old file. */
        if (!(mode & EPOLLET) || !reported)
            EXPECT_ONE(ep, 1, EPOLLIN);
        uint64_t value;
        while (read(twin, &value, 8) > 0)
            ;
    }
    EXPECT_NONE_NOW(ep);
    EXPECT_NONE_NOW(ep);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 2), ENOENT);
    ADD(ep, fd, EPOLLIN, 2);
    EXPECT_ONE(ep, 2, EPOLLIN);
    OK(close(fd));
    OK(close(other));
    if (has_twin)
        OK(close(twin));
    EXPECT_NONE_NOW(ep);
    OK(close(ep));
}

/* The same for the number of an instance. */
static void run_instance(enum kind_of after)
{
    subject = names[after];
    int ep = new_epoll(), fd = OK(eventfd(1, 0)), other = readable(after);
    ADD(ep, fd, EPOLLIN, 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    pause_ms(50);
    CHECK_EQ(bare(SYS_dup3, other, ep, O_CLOEXEC, 0, 0, 0), ep);
    struct epoll_event at;
    CHECK_ERRNO(epoll_wait(ep, &at, 1, 0), EINVAL);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 1), EINVAL);
    int next = new_epoll();
    ADD(next, ep, EPOLLIN, 2);
    EXPECT_ONE(next, 2, EPOLLIN);
    int all[] = {ep, fd, other, next};
    for (int i = 0; i < 4; i++)
        OK(close(all[i]));
}

void test(void)
{
    for (enum kind_of after = PIPE; after < KINDS; after++)
        run_instance(after);
    for (enum kind_of before = PIPE; before < KINDS; before++)
        for (enum kind_of after = PIPE; after < KINDS; after++)
            for (int way = 0; way < 8; way++) {
                /* Files of these kinds cannot be distinguished from others of their kind. */
                if (before == after && before >= EVENTFD)
                    continue;
                /* Also, their identity is not recorded before the first report. */
                if (before >= EVENTFD && after >= EVENTFD && !(way & 2))
                    continue;
                run(before, after, way & 1 ? EPOLLET : 0, way & 2, way & 4);
            }
}

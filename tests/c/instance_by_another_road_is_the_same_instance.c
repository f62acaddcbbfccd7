/* A number of an instance that was received in a message, taken from the process's own table by
 * pidfd_getfd, or made by a raw system call refers to that instance: in control calls, in waits,
 * and inside another instance. The instance lives as long as any number refers to it (D6). */
#include "oracle.h"

static int by_message(int fd)
{
    int pair[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    char byte = 1, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET, rights->cmsg_type = SCM_RIGHTS, rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    CHECK_EQ(sendmsg(pair[0], &message, 0), 1);
    CHECK_EQ(recvmsg(pair[1], &message, 0), 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    OK(close(pair[0]));
    OK(close(pair[1]));
    return fd;
}

static int by_pidfd(int fd)
{
    long self = bare(SYS_pidfd_open, getpid(), 0, 0, 0, 0, 0);
    if (self < 0)
        return -1;
    long got = bare(SYS_pidfd_getfd, self, fd, 0, 0, 0, 0);
    close(self);
    return got;
}

static int by_dup(int fd) { return bare(SYS_dup, fd, 0, 0, 0, 0, 0); }
static int by_fcntl(int fd) { return bare(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100, 0, 0, 0); }
static int by_dup3(int fd) { return bare(SYS_dup3, fd, 200, O_CLOEXEC, 0, 0, 0); }
static int by_dup_of_a_dup(int fd)
{
    int unseen = by_dup(fd), seen = OK(dup(unseen));
    OK(close(unseen));
    return seen;
}

static void run(int (*road)(int), int order)
{
    int ep = new_epoll(), outer = new_epoll(), fd[2], other[2];
    make_pipe(fd);
    make_pipe(other);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    int twin = road(ep);
    if (twin < 0)
        return;

    /* The first use of the number: in a wait, in a control call, or as the target of one. */
    write_bytes(fd[1], 1);
    switch (order % 3) {
    case 0:
        EXPECT_ONE(twin, 1, EPOLLIN);
        EXPECT_NONE_NOW(ep);
        break;
    case 1:
        CHECK_ERRNO(ctl(twin, EPOLL_CTL_ADD, fd[0], EPOLLIN, 1), EEXIST);
        MOD(twin, fd[0], EPOLLIN | EPOLLET, 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE_NOW(twin);
        break;
    default:
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, twin, EPOLLIN, 1), EINVAL);
        ADD(outer, twin, EPOLLIN, 5);
        EXPECT_ONE(outer, 5, EPOLLIN);
        CHECK_ERRNO(ctl(twin, EPOLL_CTL_ADD, outer, EPOLLIN, 1), ELOOP);
        EXPECT_ONE(twin, 1, EPOLLIN);
        EXPECT_NONE_NOW(outer);
    }

    /* The first number is closed, by a call that the library sees or one that it does not. */
    ADD(twin, other[0], EPOLLIN, 2);
    if (order < 3)
        OK(close(ep));
    else {
        CHECK_EQ(bare(SYS_close, ep, 0, 0, 0, 0, 0), 0);
        /* The library compares numbers periodically, not at each call. */
        pause_ms(50);
        struct epoll_event at;
        CHECK_ERRNO(epoll_wait(ep, &at, 1, 0), EBADF);
    }
    write_bytes(other[1], 1);
    EXPECT_ONE(twin, 2, EPOLLIN);
    write_bytes(fd[1], 1);
    CHECK_EQ(wait_events(twin, BOUND_MS).n, 2);

    /* A thread that sleeps on it is woken. */
    CHECK_EQ(read_all(other[0]), 1);
    CHECK_EQ(read_all(fd[0]), 2);
    struct waiter waiter;
    start_waiter(&waiter, twin);
    write_bytes(other[1], 1);
    CHECK_EQ(join_waiter(&waiter), 1);

    OK(close(twin));
    struct epoll_event at;
    CHECK_ERRNO(epoll_wait(twin, &at, 1, 0), EBADF);
    EXPECT_NONE_NOW(outer);
    OK(close(outer));
    for (int i = 0; i < 2; i++) {
        OK(close(fd[i]));
        OK(close(other[i]));
    }
}

/* The last known number is closed before the other one is used for the first time. */
static void run_unused(int (*road)(int))
{
    int ep = new_epoll(), fd = OK(eventfd(1, EFD_NONBLOCK));
    ADD(ep, fd, EPOLLIN | EPOLLONESHOT, 1);
    int twin = road(ep);
    if (twin < 0)
        return;
    OK(close(ep));
    int another = new_epoll();
    EXPECT_NONE_NOW(another);
    EXPECT_ONE(twin, 1, EPOLLIN);
    EXPECT_NONE_NOW(twin);
    MOD(twin, fd, EPOLLIN, 2);
    EXPECT_ONE(twin, 2, EPOLLIN);
    OK(close(another));
    OK(close(twin));
    OK(close(fd));
}

void test(void)
{
    struct {
        const char *name;
        int (*road)(int);
    } roads[] = {{"message", by_message}, {"pidfd_getfd", by_pidfd},      {"dup", by_dup},
                 {"F_DUPFD", by_fcntl},   {"dup3", by_dup3},              {"dup of a dup", by_dup_of_a_dup}};
    int before = 0;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof roads / sizeof *roads; i++) {
            subject = roads[i].name;
            for (int order = 0; order < 6; order++)
                run(roads[i].road, order);
            run_unused(roads[i].road);
        }
        /* Nothing of an instance remains. */
        subject = "";
        OK(close(new_epoll()));
        if (round == 0)
            before = open_descriptors();
        CHECK_EQ(open_descriptors(), before);
    }
}

/* The registration is removed with the last descriptor, whichever call closes it; nothing is
 * reported afterwards (D1). */
#include "harness.h"

static int null;
static FILE *stream;

static void by_close(int fd) { OK(close(fd)); }
static void by_dup2(int fd) { OK(dup2(null, fd)); }
static void by_dup3(int fd) { OK(dup3(null, fd, O_CLOEXEC)); }
static void by_close_range(int fd) { OK(close_range(fd, fd + 3, 0)); }
static void by_closefrom(int fd) { closefrom(fd); }
static void by_fclose(int fd)
{
    (void)fd;
    CHECK_EQ(fclose(stream), 0);
}
static void by_freopen(int fd)
{
    (void)fd;
    CHECK(freopen("/dev/null", "r", stream) != NULL);
}
static void by_raw_close(int fd) { OK(syscall(SYS_close, fd)); }
#ifdef SYS_dup2
static void by_raw_dup2(int fd) { OK(syscall(SYS_dup2, null, fd)); }
#endif
static void by_raw_dup3(int fd) { OK(syscall(SYS_dup3, null, fd, 0)); }
static void by_raw_close_range(int fd) { OK(syscall(SYS_close_range, fd, fd, 0)); }

static const struct road {
    const char *name;
    void (*go)(int fd);
    bool stream;
} roads[] = {
    {"close", by_close, false},
    {"dup2", by_dup2, false},
    {"dup3", by_dup3, false},
    {"close_range", by_close_range, false},
    {"closefrom", by_closefrom, false},
    {"fclose", by_fclose, true},
    {"freopen", by_freopen, true},
    {"syscall close", by_raw_close, false},
#ifdef SYS_dup2
    {"syscall dup2", by_raw_dup2, false},
#endif
    {"syscall dup3", by_raw_dup3, false},
    {"syscall close_range", by_raw_close_range, false},
};

void test(void)
{
    uint32_t modes[] = {EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT};
    null = OK(open("/dev/null", O_RDONLY));
    for (size_t i = 0; i < sizeof roads / sizeof *roads; i++)
        for (int mode = 0; mode < 3; mode++) {
            subject = roads[i].name;
            int ep = new_epoll(), fd[2], other = OK(eventfd(1, 0));
            make_pipe(fd);

            /* A high number, so that closefrom() closes nothing else of the test. */
            int high = OK(fcntl(fd[0], F_DUPFD, 400));
            OK(close(fd[0]));
            if (roads[i].stream)
                CHECK((stream = fdopen(high, "r")) != NULL);
            ADD(ep, high, modes[mode], 1);
            ADD(ep, other, EPOLLIN, 2);
            write_bytes(fd[1], 1);
            CHECK_EQ(wait_events(ep, BOUND_MS).n, 2);
            MOD(ep, high, modes[mode], 1);

            /* The item is ready when its descriptor is closed. */
            roads[i].go(high);
            EXPECT_ONE(ep, 2, EPOLLIN);
            EXPECT_ONE(ep, 2, EPOLLIN);
            struct pollfd p = {.fd = fd[1]};
            CHECK_EQ(poll(&p, 1, 0), 1);
            CHECK_EQ(p.revents, POLLERR);

            /* The number is closed, or refers to a file that is not registered. */
            int now = fcntl(high, F_GETFD) >= 0 ? EPERM : EBADF;
            CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, high, NULL), now);

            /* The number can be used again, for a new item. */
            int fresh = OK(eventfd(1, 0));
            OK(dup2(fresh, high));
            OK(close(fresh));
            ADD(ep, high, EPOLLIN, 3);
            CHECK_EQ(wait_events(ep, 0).n, 2);
            OK(close(high));
            EXPECT_ONE(ep, 2, EPOLLIN);
            OK(close(other));
            OK(close(fd[1]));
            OK(close(ep));
        }
}

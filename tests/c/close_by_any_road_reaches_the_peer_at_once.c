/* However a watched descriptor is closed, and whether threads wait in epoll_wait, in poll() on the
 * instance or in an outer instance, the peer reads end of file when the call has returned (D4,
 * D1). */
#include "harness.h"

static int null;
static FILE *stream;

static void by_close(int fd) { OK(close(fd)); }
static void by_raw_close(int fd) { OK(syscall(SYS_close, fd)); }
static void by_dup2(int fd) { OK(dup2(null, fd)); }
static void by_dup3(int fd) { OK(dup3(null, fd, O_CLOEXEC)); }
static void by_close_range(int fd) { OK(close_range(fd, fd, 0)); }
static void by_fclose(int fd)
{
    (void)fd;
    CHECK_EQ(fclose(stream), 0);
}

static void *polls(void *arg)
{
    struct pollfd p = {.fd = *(int *)arg, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
    return NULL;
}

void test(void)
{
    void (*roads[])(int) = {by_close, by_raw_close, by_dup2, by_dup3, by_close_range, by_fclose};
    const char *names[] = {"close", "syscall close", "dup2", "dup3", "close_range", "fclose"};
    null = OK(open("/dev/null", O_RDONLY));
    for (int i = 0; i < 12; i++) {
        subject = names[i / 2];
        int ep = new_epoll(), second = new_epoll(), outer = new_epoll(), fd[2], stop = OK(eventfd(0, 0));
        uint32_t edge = i % 2 ? EPOLLET : 0;
        make_pair(SOCK_STREAM, fd);
        if (roads[i / 2] == by_fclose)
            CHECK((stream = fdopen(fd[0], "r+")) != NULL);
        ADD(ep, fd[0], EPOLLIN | edge, 1);
        ADD(ep, stop, EPOLLIN, 9);
        ADD(second, fd[0], EPOLLIN | EPOLLRDHUP, 1);
        ADD(second, stop, EPOLLIN, 9);
        ADD(outer, ep, EPOLLIN | edge, 2);

        struct waiter on_ep[2], on_second, on_outer;
        struct thread polling;
        start_waiter(&on_ep[0], ep);
        start_waiter(&on_ep[1], ep);
        start_waiter(&on_second, second);
        start_waiter(&on_outer, outer);
        start_thread(&polling, polls, &ep);
        wait_until_blocked(polling.tid);
        roads[i / 2](fd[0]);
        expect_eof_at_once(fd[1]);

        add_one(stop);
        CHECK_EQ(join_waiter(&on_ep[0]), 1);
        CHECK_EQ(join_waiter(&on_ep[1]), 1);
        CHECK_EQ(join_waiter(&on_second), 1);
        CHECK_EQ(join_waiter(&on_outer), 1);
        join_thread(&polling);
        CHECK_EQ(on_ep[0].at[0].data.u64, 9);
        CHECK_EQ(on_second.at[0].data.u64, 9);
        OK(close_range(ep, ep, 0));
        OK(close(second));
        OK(close(outer));
        OK(close(stop));
        OK(close(fd[1]));
    }
}

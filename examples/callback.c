/* Callbacks: a thread that epolyfill starts calls a function with the events of an instance, while
 * the program does something else.
 *
 *   cargo build --release
 *   ln -sf libepolyfill.so target/release/libepolyfill.so.0
 *   gcc -Iinclude examples/callback.c -o callback -Ltarget/release -lepolyfill -pthread -Wl,-rpath,"$PWD/target/release" && ./callback
 *
 * A timer expires five times, and a line arrives through a pipe; the callback prints each. Then the
 * callback is removed; once the removal returns, no call of it is running. */
#include <epolyfill.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int ok(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void on_events(const struct epoll_event *events, int n, void *user)
{
    int *expirations = user;
    for (int i = 0; i < n; i++) {
        char buffer[64];
        ssize_t got = read(events[i].data.fd, buffer, sizeof buffer);
        if (got == sizeof(uint64_t))
            printf("the timer expired, %d\n", ++*expirations);
        else if (got > 0)
            printf("from the pipe: %.*s", (int)got, buffer);
    }
}

int main(void)
{
    int expirations = 0, pipe_ends[2], ep = ok(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    int timer = ok(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
    ok(pipe(pipe_ends), "pipe");
    struct epolyfill_op ops[] = {
        {.op = EPOLL_CTL_ADD, .fd = timer, .event = {.events = EPOLLIN, .data.fd = timer}},
        {.op = EPOLL_CTL_ADD, .fd = pipe_ends[0], .event = {.events = EPOLLIN, .data.fd = pipe_ends[0]}},
    };
    if (epolyfill_ctl_batch(ep, ops, 2) != 2)
        ok(-1, "epolyfill_ctl_batch");
    ok(epolyfill_set_callback(ep, on_events, &expirations), "epolyfill_set_callback");

    struct itimerspec often = {.it_value.tv_nsec = 20000000, .it_interval.tv_nsec = 20000000};
    ok(timerfd_settime(timer, 0, &often, NULL), "timerfd_settime");
    ok((int)write(pipe_ends[1], "hello, callback\n", 16), "write");
    usleep(110000);

    ok(epolyfill_set_callback(ep, NULL, NULL), "epolyfill_set_callback");
    printf("no call is running: %s\n", expirations >= 1 ? "done" : "but none came");
    return expirations >= 1 ? 0 : 1;
}

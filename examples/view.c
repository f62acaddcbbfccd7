/* Zero-copy waits: the program reads events where the instance stores them, and they stay valid
 * during the next such wait.
 *
 *   cargo build --release
 *   ln -sf libepolyfill.so target/release/libepolyfill.so.0
 *   gcc -Iinclude examples/view.c -o view -Ltarget/release -lepolyfill -Wl,-rpath,"$PWD/target/release" && ./view
 *
 * Ten eventfds are written to, two at a time; each wait shows the events of one round, which are
 * compared with those of the previous round, which are still there. */
#include <epolyfill.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

static int ok(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

int main(void)
{
    int bell[10], ep = ok(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (int i = 0; i < 10; i++) {
        bell[i] = ok(eventfd(0, EFD_CLOEXEC), "eventfd");
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)i};
        ok(epoll_ctl(ep, EPOLL_CTL_ADD, bell[i], &event), "epoll_ctl");
    }
    const struct epoll_event *events, *before = NULL;
    for (int i = 0; i < 10; i += 2) {
        ok(eventfd_write(bell[i], 1), "eventfd_write");
        ok(eventfd_write(bell[i + 1], 1), "eventfd_write");
        int n = ok(epolyfill_wait_view(ep, &events, EPOLYFILL_VIEW_MAX, -1), "epolyfill_wait_view");
        for (int k = 0; k < n; k++)
            printf("%d%s", (int)events[k].data.u64, k + 1 < n ? ", " : "");
        if (before)
            printf(" after %d", (int)before[0].data.u64);
        printf("\n");
        before = events;
    }
    return 0;
}

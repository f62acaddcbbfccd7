// A wait can end with EINTR in a program without signal handlers (SIGSTOP, SIGCONT, a debugger). The
// faulty program gives up.
#include "peer.h"

// Fewer, with longer sleeps: a wait that finds an event on a busy machine does not end with EINTR.
enum { WAITS = 120 };

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < WAITS; i++) {
        rest(20);
        CHECK(write(theirs[0], "x", 1) == 1);
        if (!receive(theirs[0], &answer, 1))
            return;
    }
}

int main(void)
{
    int end;
    peer(AF_UNIX, 1, &end, run);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, end, EPOLLIN);
    for (int i = 0; i < WAITS; i++) {
        struct epoll_event event;
        while (epoll_wait(epfd, &event, 1, -1) != 1)
            if (faulty || errno != EINTR)
                fail("epoll_wait failed");
        CHECK(read(end, &(char){0}, 1) == 1 && write(end, "y", 1) == 1);
    }
}

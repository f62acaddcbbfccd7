// A time-out may be late. The faulty program takes a wait that was to end before the next message
// for one that ends before it.
#include "peer.h"

// Few, because a busy machine lets a wait time out late, too.
enum { WAITS = 30 };

static void run(const int theirs[])
{
    char question;
    while (receive(theirs[0], &question, 1)) {
        rest(3);
        if (write(theirs[0], "x", 1) != 1)
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
        CHECK(write(end, "y", 1) == 1);
        // The message comes after 3 ms.
        if (await(epfd, &event, 1, 1) == 1 && faulty)
            fail("a wait for 1 ms lasted for 3");
        while (await(epfd, &event, 1, -1) != 1)
            ;
        CHECK(read(end, &(char){0}, 1) == 1);
    }
}

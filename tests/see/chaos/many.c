// A thread that comes late to its wait finds more events in one batch. The faulty program closes a
// connection whose event is later in the same batch, and then uses it.
#include "peer.h"

static void run(const int theirs[])
{
    for (;;) {
        char answer;
        // The second connection speaks a little after the first.
        if (write(theirs[0], "x", 1) != 1)
            return;
        rest(4);
        if (write(theirs[1], "x", 1) != 1 || !receive(theirs[0], &answer, 1))
            return;
    }
}

int main(void)
{
    int ends[2];
    peer(AF_UNIX, 2, ends, run);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, ends[0], EPOLLIN | EPOLLET);
    watch(epfd, ends[1], EPOLLIN | EPOLLET);
    for (int i = 0; i < 12; i++) {
        struct epoll_event events[8];
        bool is_closed = false;
        for (int got = 0; got < 2;) {
            int n = await(epfd, events, 8, -1);
            for (int j = 0; j < n; j++) {
                got++;
                if (events[j].data.fd == ends[1] && is_closed) {
                    if (faulty)
                        fail("an event of a connection that the same batch had closed");
                    continue;
                }
                CHECK(read(events[j].data.fd, &(char){0}, 1) == 1);
                // "Closes" the second connection, for the rest of this batch.
                is_closed = events[j].data.fd == ends[0];
            }
            is_closed = false;
        }
        // What the correct program has left is still there.
        (void)!recv(ends[1], &(char){0}, 1, 0);
        CHECK(write(ends[0], "y", 1) == 1);
    }
}

// The events of one batch have no order. The faulty program takes the first for the older one.
#include "peer.h"

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(write(theirs[0], "x", 1) == 1 && write(theirs[1], "x", 1) == 1);
        if (!receive(theirs[0], &answer, 1))
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
    for (int i = 0; i < ROUNDS; i++) {
        rest(2);
        struct epoll_event events[8];
        for (int got = 0; got < 2;) {
            int n = await(epfd, events, 8, -1);
            if (faulty && n == 2 && events[0].data.fd != ends[0])
                fail("the second message overtook the first");
            for (int j = 0; j < n; j++)
                got += read(events[j].data.fd, &(char){0}, 1) == 1;
        }
        CHECK(write(ends[0], "y", 1) == 1);
    }
}

// One arrival can cause several edges. The faulty program takes each for a message of its own.
#include "peer.h"

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(write(theirs[0], "xx", 2) == 2);
        if (!receive(theirs[0], &answer, 1))
            return;
    }
}

int main(void)
{
    int end;
    peer(AF_INET, 1, &end, run);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, end, EPOLLIN | EPOLLET);
    for (int i = 0; i < ROUNDS; i++) {
        struct epoll_event event;
        while (await(epfd, &event, 1, -1) != 1)
            ;
        // The rest of the message waits until the first half has been dealt with.
        CHECK(read(end, &(char){0}, 1) == 1);
        if (await(epfd, &event, 1, 1) == 1 && faulty)
            fail("an edge without another message");
        CHECK(read(end, &(char){0}, 1) == 1 && write(end, "y", 1) == 1);
    }
}

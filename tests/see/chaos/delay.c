// What is sent over two connections can arrive in any order. The faulty program expects that what
// was sent over the first, over a network, is there before what is sent over the second.
#include "peer.h"

static int network[1];

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(write(theirs[0], "x", 1) == 1);
        rest(5);
        CHECK(write(network[0], "x", 1) == 1);
        if (!receive(theirs[0], &answer, 1))
            return;
    }
}

int main(void)
{
    int ends[2], pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    network[0] = pair[1];
    peer(AF_INET, 1, ends, run);
    ends[1] = pair[0];
    close(pair[1]);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, ends[0], EPOLLIN);
    watch(epfd, ends[1], EPOLLIN);
    for (int i = 0; i < ROUNDS; i++) {
        struct epoll_event events[8];
        bool has_first = false;
        for (int got = 0; got < 2;) {
            int n = await(epfd, events, 8, -1);
            for (int j = 0; j < n; j++) {
                if (faulty && events[j].data.fd == ends[1] && !has_first)
                    fail("the second message came before the first");
                has_first |= events[j].data.fd == ends[0];
                got += read(events[j].data.fd, &(char){0}, 1) == 1;
            }
        }
        CHECK(write(ends[0], "y", 1) == 1);
    }
}

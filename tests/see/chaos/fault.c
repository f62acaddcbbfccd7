// accept can fail for want of a descriptor. The faulty program gives up.
#include "peer.h"

int main(void)
{
    struct sockaddr_storage address;
    socklen_t length;
    int listening = listener(AF_UNIX, &address, &length);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(fcntl(listening, F_SETFL, O_NONBLOCK) == 0);
    struct epoll_event event = {.events = EPOLLIN};
    while (epoll_ctl(epfd, EPOLL_CTL_ADD, listening, &event) < 0)
        CHECK(errno == ENOMEM || errno == ENOSPC);
    for (int i = 0; i < ROUNDS; i++) {
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect(client, (struct sockaddr *)&address, length) == 0);
        int end;
        do {
            while (await(epfd, &event, 1, -1) != 1)
                ;
            end = accept(listening, NULL, NULL);
            if (end < 0 && faulty)
                fail("accept failed");
        } while (end < 0);
        close(end);
        close(client);
    }
}

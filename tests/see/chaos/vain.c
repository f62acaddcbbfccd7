// A UDP socket can be reported with nothing there: the checksum of the packet was wrong. The faulty
// program does not expect EAGAIN.
#include "peer.h"

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int end = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(end, (struct sockaddr *)&address, length) == 0);
    CHECK(getsockname(end, (struct sockaddr *)&address, &length) == 0);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, end, EPOLLIN);
    int got = 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 2 == 0)
            CHECK(sendto(end, "x", 1, 0, (struct sockaddr *)&address, length) == 1);
        struct epoll_event event;
        if (await(epfd, &event, 1, 2) == 1) {
            ssize_t n = read(end, &(char){0}, 1);
            if (n < 0 && faulty)
                fail("a datagram was reported and is not there");
            CHECK(n == 1 || errno == EAGAIN);
            got += n == 1;
        }
    }
    // Whatever was reported in vain, nothing is lost.
    while (read(end, &(char){0}, 1) == 1)
        got++;
    CHECK(got == ROUNDS / 2);
}

// Takes one of three messages for each edge of a netlink socket. The kernel reports the rest with
// the next message only; the library cannot count what is queued, and reports it again.
// audit with poll: suspect kinder-than-linux watch
// audit with kernel: nothing
#include "see.h"
#include <linux/netlink.h>

int main(void)
{
    int epfd = new_instance();
    int to = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_USERSOCK);
    int from = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
    struct sockaddr_nl at = {.nl_family = AF_NETLINK};
    struct nlmsghdr message = {.nlmsg_len = sizeof message, .nlmsg_type = NLMSG_MIN_TYPE};
    struct epoll_event event;
    socklen_t length = sizeof at;
    CHECK(to >= 0 && from >= 0 && bind(to, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(getsockname(to, (struct sockaddr *)&at, &length) == 0);
    watch(epfd, to, EPOLLIN | EPOLLET);
    for (int i = 0; i < 6; i++) {
        for (int message_of_three = 0; message_of_three < 3; message_of_three++)
            CHECK(sendto(from, &message, sizeof message, 0, (struct sockaddr *)&at, sizeof at) == sizeof message);
        while (epoll_wait(epfd, &event, 1, 50) == 1)
            CHECK(recv(to, &message, sizeof message, 0) == sizeof message || errno == EAGAIN);
    }
    return 7;
}

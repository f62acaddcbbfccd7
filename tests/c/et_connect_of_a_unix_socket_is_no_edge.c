/* A unix socket that is connected is no longer hung up, which is not an edge; the connection is
 * reported on its listener (E3). */
#include "harness.h"
#include <stddef.h>
#include <sys/un.h>

void test(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int ep = new_epoll(), length = snprintf(address.sun_path + 1, 40, "epolyfill-%d", getpid());
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0)), client = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    OK(bind(listener, (struct sockaddr *)&address, size));
    OK(listen(listener, 4));
    ADD(ep, client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT | EPOLLHUP);
    ADD(ep, listener, EPOLLIN | EPOLLET, 2);
    OK(connect(client, (struct sockaddr *)&address, size));
    EXPECT_ONE(ep, 2, EPOLLIN);
    EXPECT_NONE(ep);
    int server = OK(accept(listener, NULL, NULL));
    write_bytes(server, 1);
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    OK(close(server));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
}

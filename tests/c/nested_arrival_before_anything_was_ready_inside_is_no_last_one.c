/* An instance has nothing ready when it is added to another one, though one of its items has unread
 * data that meets no bit of its mask. A later arrival on that item is an edge outside as soon as
 * another item inside is ready (N2). */
#include "harness.h"

#include <netinet/in.h>

static struct sockaddr_in address = {.sin_family = AF_INET};

static int arrive(void)
{
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    OK(connect(fd, (struct sockaddr *)&address, sizeof address));
    return fd;
}

void test(void)
{
    int outer = new_epoll(), inner = new_epoll(), ready = OK(eventfd(1, EFD_NONBLOCK)), fds[4];
    int listener = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    socklen_t length = sizeof address;
    OK(bind(listener, (struct sockaddr *)&address, length));
    OK(listen(listener, 8));
    OK(getsockname(listener, (struct sockaddr *)&address, &length));
    fds[0] = arrive();
    ADD(inner, listener, EPOLLPRI, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 2);
    EXPECT_NONE_NOW(outer);
    ADD(inner, ready, EPOLLIN, 3);
    EXPECT_ONE(outer, 2, EPOLLIN);
    EXPECT_NONE_NOW(outer);
    for (int i = 1; i < 4; i++) {
        fds[i] = arrive();
        EXPECT_ONE(outer, 2, EPOLLIN);
        EXPECT_NONE_NOW(outer);
    }
    for (int i = 0; i < 4; i++)
        OK(close(fds[i]));
    OK(close(outer)), OK(close(inner)), OK(close(ready)), OK(close(listener));
}

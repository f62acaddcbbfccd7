/* An empty datagram is an arrival like any other, also beside unread ones; taking one of several is
 * not an edge (E1, E2). */
#include "harness.h"
#include <netinet/in.h>

void test(void)
{
    for (int unix_socket = 0; unix_socket < 2; unix_socket++) {
        int fd[2], ep = new_epoll();
        char buffer[8];
        subject = unix_socket ? "unix dgram" : "udp";
        if (unix_socket) {
            make_pair(SOCK_DGRAM, fd);
        } else {
            struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            socklen_t size = sizeof address;
            for (int i = 0; i < 2; i++)
                fd[i] = OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
            OK(bind(fd[0], (struct sockaddr *)&address, size));
            OK(getsockname(fd[0], (struct sockaddr *)&address, &size));
            OK(connect(fd[1], (struct sockaddr *)&address, size));
        }
        ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
        const char *sent[] = {"", "", "abc", "", "de", ""};
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(send(fd[1], sent[i], strlen(sent[i]), 0), strlen(sent[i]));
            EXPECT_ONE(ep, 1, EPOLLIN);
            EXPECT_NONE(ep);
        }
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), strlen(sent[i]));
            EXPECT_NONE(ep);
        }
        CHECK_EQ(send(fd[1], "", 0, 0), 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
        /* A read into a zero-length buffer makes a datagram look empty, though it is not; the empty
         * one stays queued. */
        CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 0);
        CHECK_EQ(send(fd[1], "abc", 3, 0), 3);
        CHECK_EQ(send(fd[1], "", 0, 0), 0);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(recv(fd[0], buffer, 0, 0), 0);
        EXPECT_NONE(ep);
        CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), 0);
        CHECK_EQ(recv(fd[0], buffer, sizeof buffer, 0), -1);
        CHECK_EQ(errno, EAGAIN);
    }
}

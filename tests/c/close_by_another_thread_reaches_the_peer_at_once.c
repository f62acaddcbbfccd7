/* A close by a thread that never waits reaches the peer at once, whatever the thread that waits is
 * doing (D4); with a ring it takes some milliseconds. */
#include "harness.h"

static int fd[2];

static void *closes(void *arg)
{
    (void)arg;
    OK(close(fd[0]));
    return NULL;
}

void test(void)
{
    int ep = new_epoll();
    make_pair(SOCK_STREAM, fd);
    ADD(ep, fd[0], EPOLLIN, 1);
    EXPECT_NONE_NOW(ep);

    /* The thread that waited is busy elsewhere. */
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, closes, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    struct pollfd peer = {.fd = fd[1], .events = POLLIN};
    if (with_a_ring())
        CHECK_EQ(poll(&peer, 1, 5000), 1);
    char byte;
    CHECK_EQ(recv(fd[1], &byte, 1, MSG_DONTWAIT), 0);
    EXPECT_NONE_NOW(ep);
}

/* An instance is a descriptor like any other: it takes the lowest free number and frees it when it
 * is closed (C3). */
#include "harness.h"

static int lowest_free(void)
{
    int fd = OK(eventfd(0, 0));
    OK(close(fd));
    return fd;
}

void test(void)
{
    int lowest = lowest_free();
    int a = OK(epoll_create1(0));
    CHECK_EQ(a, lowest);
    CHECK_EQ(lowest_free(), lowest + 1);

    /* A wait or an ADD does not take a number. */
    int event = OK(eventfd(1, 0));
    CHECK_EQ(event, lowest + 1);
    ADD(a, event, EPOLLIN, 1);
    EXPECT_ONE(a, 1, EPOLLIN);
    CHECK_EQ(lowest_free(), lowest + 2);

    OK(close(a));
    CHECK_EQ(OK(epoll_create(1)), lowest);
}

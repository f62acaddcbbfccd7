/* A hang-up of a terminal is reported once to an edge-triggered item, however many waits follow:
 * a ring, which cannot serve an item that waits for EPOLLPRI on a terminal, may be tried in one. */
#include <pty.h>

#include "harness.h"

void test(void)
{
    int ep = new_epoll(), master, slave, event = OK(eventfd(1, EFD_NONBLOCK));

    OK(openpty(&master, &slave, NULL, NULL, NULL));
    ADD(ep, slave, EPOLLPRI | EPOLLET, 1);
    EXPECT_NONE_NOW(ep);
    OK(close(master));
    EXPECT_ONE(ep, 1, EPOLLERR | EPOLLHUP);
    for (int i = 0; i < 40; i++)
        ADD(ep, OK(eventfd(0, EFD_NONBLOCK)), EPOLLIN | EPOLLET, 3);
    ADD(ep, event, EPOLLIN, 2);
    for (int i = 0; i < 2000; i++)
        EXPECT_ONE(ep, 2, EPOLLIN);
}

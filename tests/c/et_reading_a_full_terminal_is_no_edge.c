/* A terminal that is full of a line, which an end of file ended, is read byte by byte: nothing of that is an edge (E2). */
#include "harness.h"

#include <pty.h>

void test(void)
{
    enum { FULL = 4095 };
    static char line[FULL];
    int master, slave, ep = new_epoll();
    OK(openpty(&master, &slave, NULL, NULL, NULL));
    ADD(ep, slave, EPOLLIN | EPOLLET, 1);
    memset(line, 'x', FULL);
    CHECK_EQ(write(master, line, FULL), FULL);
    CHECK_EQ(write(master, "\4", 1), 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(read(slave, line, 1), 1);
        EXPECT_NONE(ep);
    }
}

/* Edge-triggered: each time the slave of a pseudo-terminal is opened and closed, its master hangs
 * up again. */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), master = OK(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
    OK(grantpt(master));
    OK(unlockpt(master));
    close(OK(open(ptsname(master), O_RDWR | O_NOCTTY)));
    ADD(ep, master, EPOLLIN | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLHUP);
    EXPECT_NONE(ep);
    for (int round = 0; round < 3; round++) {
        close(OK(open(ptsname(master), O_RDWR | O_NOCTTY)));
        EXPECT_ONE(ep, 1, EPOLLHUP);
    }
}

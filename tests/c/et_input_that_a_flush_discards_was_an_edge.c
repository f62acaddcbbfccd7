/* Edge-triggered: input that arrives at a terminal wakes its waiters. If tcflush or TCSAFLUSH
 * discards it before the wait, the wait reports the levels that remain: OUT, a hang-up. */
#include "harness.h"

#include <pty.h>
#include <termios.h>

enum way { TCFLUSH, TCFLUSH_BOTH, IOCTL, SETATTR, WAYS };

static void discard(int fd, enum way way)
{
    struct termios modes;
    if (way == TCFLUSH)
        OK(tcflush(fd, TCIFLUSH));
    else if (way == TCFLUSH_BOTH)
        OK(tcflush(fd, TCIOFLUSH));
    else if (way == IOCTL)
        OK(ioctl(fd, TCFLSH, TCIFLUSH));
    else if (way == SETATTR)
        OK(tcgetattr(fd, &modes)), OK(tcsetattr(fd, TCSAFLUSH, &modes));
}

/* A byte written to `from` arrives at `fd`, and is discarded through `other`, a duplicate. */
static void come_and_go(int from, int fd, int other, enum way way)
{
    struct pollfd at = {.fd = fd, .events = POLLIN};
    CHECK_EQ(write(from, "a", 1), 1);
    UNTIL(OK(poll(&at, 1, 0)) == 1 && at.revents & POLLIN);
    discard(other, way);
    OK(poll(&at, 1, 0));
    CHECK_EQ(at.revents & POLLIN, 0);
}

/* The master echoes its own input, also when no slave is open. */
static void hung_up_master(uint32_t mask, uint32_t level, enum way way)
{
    int ep = new_epoll(), master = OK(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
    OK(grantpt(master)), OK(unlockpt(master));
    close(OK(open(ptsname(master), O_RDWR | O_NOCTTY)));
    int other = OK(dup(master));
    ADD(ep, master, EPOLLET, 1);
    MOD(ep, master, mask | EPOLLET, 2);
    EXPECT_ONE(ep, 2, level);
    for (int round = 0; round < 3; round++) {
        come_and_go(other, master, other, way);
        EXPECT_ONE(ep, 2, level);
        EXPECT_NONE_NOW(ep);
        discard(other, way);
        EXPECT_NONE_NOW(ep);
    }
    OK(close(ep)), OK(close(master)), OK(close(other));
}

/* Either end, while the other one is open. */
static void open_terminal(bool at_master, enum way way)
{
    int ep = new_epoll(), master, slave;
    struct termios modes;
    OK(openpty(&master, &slave, NULL, NULL, NULL));
    OK(tcgetattr(slave, &modes));
    cfmakeraw(&modes);
    OK(tcsetattr(slave, TCSANOW, &modes));
    int fd = at_master ? master : slave, from = at_master ? slave : master, other = OK(dup(fd));
    set_nonblocking(fd);
    ADD(ep, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int round = 0; round < 3; round++) {
        come_and_go(from, fd, other, way);
        EXPECT_ONE(ep, 1, EPOLLOUT);
        EXPECT_NONE_NOW(ep);
    }
    OK(close(ep)), OK(close(master)), OK(close(slave)), OK(close(other));
}

void test(void)
{
    for (enum way way = 0; way < WAYS; way++) {
        /* On a master, the last call sets the slave's modes and discards the slave's input. */
        if (way != SETATTR) {
            hung_up_master(EPOLLIN, EPOLLHUP, way);
            hung_up_master(EPOLLIN | EPOLLOUT, EPOLLOUT | EPOLLHUP, way);
            open_terminal(true, way);
        }
        open_terminal(false, way);
    }
}

/* Edge-triggered: input that tcflush or TCSAFLUSH discards was an arrival, so the same amount again
 * is an edge. Setting the modes wakes the threads that wait on the slave. Discarding input, or
 * letting output continue, wakes those that wait for EPOLLOUT. By name and by ioctl. */
#include "harness.h"

#include <pty.h>
#include <termios.h>

static int ep, master, slave;
static struct termios modes;

static int level_of(int fd)
{
    struct pollfd at = {fd, POLLIN, 0};
    OK(poll(&at, 1, 0));
    return at.revents;
}

static void expect(uint32_t at_slave, uint32_t at_master)
{
    struct epoll_event at[2];
    uint32_t got[2] = {0, 0};
    int64_t end = now_ns() + BOUND_MS / 4 * 1000000ll;
    /* A kernel worker moves output to the other end. */
    do {
        int n = OK(epoll_wait(ep, at, 2, 1));
        for (int i = 0; i < n; i++)
            got[at[i].data.u64] |= at[i].events;
    } while ((got[0] != at_slave || got[1] != at_master) && now_ns() < end);
    CHECK_EQ(got[0], at_slave);
    CHECK_EQ(got[1], at_master);
}

/* Registers both ends with this mask, and consumes the first reports. */
static void begin(uint32_t mask)
{
    ep = new_epoll();
    OK(openpty(&master, &slave, NULL, NULL, NULL));
    OK(tcgetattr(slave, &modes));
    cfmakeraw(&modes);
    OK(tcsetattr(slave, TCSANOW, &modes));
    OK(fcntl(master, F_SETFL, O_NONBLOCK));
    OK(fcntl(slave, F_SETFL, O_NONBLOCK));
    ADD(ep, slave, mask | EPOLLET, 0);
    ADD(ep, master, mask | EPOLLET, 1);
    expect(mask & EPOLLOUT, mask & EPOLLOUT);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(write(i ? slave : master, "12345", 5), 5);
        UNTIL(level_of(i ? master : slave) & POLLIN);
        if (mask == EPOLLIN)
            expect(i ? 0 : EPOLLIN, i ? EPOLLIN : 0);
        else
            expect(i ? EPOLLOUT : 0, i ? 0 : EPOLLOUT);
    }
}

static void end(void)
{
    close(ep);
    close(master);
    close(slave);
}

static void input_again(int way)
{
    int fd = way < 4 ? slave : master;
    if (way == 0)
        OK(tcflush(slave, TCIFLUSH));
    else if (way == 1)
        OK(tcflush(slave, TCIOFLUSH));
    else if (way == 2)
        OK(tcsetattr(slave, TCSAFLUSH, &modes));
    else if (way == 3)
        OK(ioctl(slave, TCFLSH, TCIFLUSH));
    else if (way == 4)
        OK(tcflush(master, TCIFLUSH));
    else
        OK(syscall(SYS_ioctl, master, TCFLSH, TCIFLUSH));
    CHECK_EQ(level_of(fd) & POLLIN, 0);
    /* TCSAFLUSH has woken the slave, which shows no level. */
    expect(0, 0);
    CHECK_EQ(write(fd == slave ? master : slave, "abcde", 5), 5);
    expect(fd == slave ? EPOLLIN : 0, fd == slave ? 0 : EPOLLIN);
}

void test(void)
{
    begin(EPOLLIN);
    for (int round = 0; round < 3; round++)
        for (int way = 0; way < 6; way++)
            input_again(way);
    end();

    begin(EPOLLIN);
    OK(tcsetattr(slave, TCSANOW, &modes));
    expect(EPOLLIN, 0);
    OK(tcsetattr(master, TCSADRAIN, &modes));
    expect(EPOLLIN, 0);
    OK(tcgetattr(slave, &modes));
    expect(0, 0);
    end();

    begin(EPOLLOUT);
    OK(tcsetattr(slave, TCSANOW, &modes));
    expect(EPOLLOUT, 0);
    OK(tcflow(slave, TCOOFF));
    expect(0, 0);
    OK(tcflow(slave, TCOON));
    expect(EPOLLOUT, 0);
    OK(tcflush(slave, TCIFLUSH));
    expect(0, EPOLLOUT);
    OK(tcflush(master, TCIFLUSH));
    expect(EPOLLOUT, 0);
    end();
}

/* A level-triggered item reports what poll() reports for the same bit, for every bit and kind (T5,
 * T8). */
#include "kinds.h"

static const uint32_t bits[] = {EPOLLIN,     EPOLLPRI,    EPOLLOUT, EPOLLRDNORM, EPOLLRDBAND,
                                EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG, EPOLLRDHUP,  EPOLLIN | EPOLLOUT | EPOLLRDNORM};

static void compare(int ep, int fd)
{
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        struct pollfd p = {.fd = fd, .events = bits[i]};
        int n = OK(poll(&p, 1, 0));
        MOD(ep, fd, bits[i], i);
        if (n)
            EXPECT_ONE(ep, i, (uint32_t)p.revents);
        else
            EXPECT_NONE_NOW(ep);
    }
    MOD(ep, fd, 0, 0);
}

void test(void)
{
    FOR_EACH_KIND(kind, 0, 0)
    {
        struct specimen s;
        make(&s, kind);
        int ep = new_epoll();

        /* EPOLLWAKEUP is accepted and has no effect; so are undefined bits. */
        ADD(ep, s.fd, EPOLLWAKEUP, 0);
        compare(ep, s.fd);
        feed(&s);
        struct pollfd p = {.fd = s.fd, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, BOUND_MS), 1);
        compare(ep, s.fd);
        MOD(ep, s.fd, EPOLLIN | 1 << 11 | 1 << 14 | 1 << 20, 3);
        EXPECT_ONE(ep, 3, EPOLLIN);
        OK(close(ep));
        discard(&s);
    }
    subject = "";

    /* Urgent data of TCP is PRI. */
    int fd[2], ep = new_epoll();
    make_tcp(fd);
    ADD(ep, fd[0], EPOLLPRI, 1);
    write_bytes(fd[1], 1);
    EXPECT_NONE_NOW(ep);
    CHECK_EQ(send(fd[1], "!", 1, MSG_OOB), 1);
    EXPECT_ONE(ep, 1, EPOLLPRI);
    compare(ep, fd[0]);
}

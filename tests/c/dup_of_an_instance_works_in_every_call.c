/* Every operation has the same result through every number of an instance, however it was
 * duplicated and whichever number was closed before; a number that now names another file no longer
 * names the instance (D6). */
#include "harness.h"

#include <sys/select.h>

enum { NUMBERS = 6 };

static void use(int ep, int outer, int fd, uint64_t data)
{
    ADD(ep, fd, EPOLLIN, data);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, data), EEXIST);
    struct epoll_event at[4];
    for (enum call call = WAIT; call <= PWAIT2; call++) {
        CHECK_EQ(wait_by(call, ep, at, 4, 0, NULL), 1);
        CHECK_EQ(at[0].data.u64, data);
    }
    struct pollfd p = {.fd = ep, .events = POLLIN | POLLOUT};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents, POLLIN);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ep, &set);
    struct timeval zero = {0, 0};
    CHECK_EQ(select(ep + 1, &set, NULL, NULL, &zero), 1);
    ADD(outer, ep, EPOLLIN, ep);
    EXPECT_ONE(outer, ep, EPOLLIN);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, outer, EPOLLIN, 1), ELOOP);
    char byte = 0;
    CHECK_ERRNO(read(ep, &byte, 1), EINVAL);
    CHECK_ERRNO(write(ep, &byte, 1), EINVAL);
    MOD(ep, fd, EPOLLIN | EPOLLONESHOT, data + 1);
    EXPECT_ONE(ep, data + 1, EPOLLIN);
    CHECK_EQ(poll(&p, 1, 0), 0);
    DEL(outer, ep);
    DEL(ep, fd);
    EXPECT_NONE_NOW(ep);
}

void test(void)
{
    int fd = OK(eventfd(1, EFD_NONBLOCK)), outer = new_epoll();
    for (int survivor = 0; survivor < NUMBERS; survivor++) {
        int ep[NUMBERS];
        ep[0] = new_epoll();
        ep[1] = OK(dup(ep[0]));
        ep[2] = OK(dup2(ep[1], 100));
        ep[3] = OK(dup3(ep[2], 101, O_CLOEXEC));
        ep[4] = OK(fcntl(ep[3], F_DUPFD, 102));
        ep[5] = OK(fcntl(ep[0], F_DUPFD_CLOEXEC, 103));
        for (int i = 0; i < NUMBERS; i++) {
            use(ep[i], outer, fd, 10 * i + 1);
            for (int j = 0; j < NUMBERS; j++)
                CHECK_ERRNO(ctl(ep[i], EPOLL_CTL_ADD, ep[j], EPOLLIN, 1), EINVAL);
        }

        /* All but one are closed, in turn by close and by dup2 of another file. */
        for (int i = 0; i < NUMBERS; i++) {
            if (i == survivor)
                continue;
            if (i % 2)
                OK(close(ep[i]));
            else
                OK(dup2(fd, ep[i]));
            use(ep[survivor], outer, fd, 100 + i);
            struct epoll_event at;
            CHECK_ERRNO(epoll_wait(ep[i], &at, 1, 0), i % 2 ? EBADF : EINVAL);
            CHECK_ERRNO(ctl(ep[i], EPOLL_CTL_ADD, outer, EPOLLIN, 1), i % 2 ? EBADF : EINVAL);
        }
        /* Dup onto itself. */
        CHECK_EQ(dup2(ep[survivor], ep[survivor]), ep[survivor]);
        CHECK_ERRNO(dup3(ep[survivor], ep[survivor], 0), EINVAL);
        use(ep[survivor], outer, fd, 200);
        for (int i = 0; i < NUMBERS; i++)
            if (i == survivor || i % 2 == 0)
                OK(close(ep[i]));
    }
}

/* epoll_create1() takes EPOLL_CLOEXEC, which sets FD_CLOEXEC, and no other flag (C2). */
#include "harness.h"

void test(void)
{
    for (int bit = 0; bit < 32; bit++)
        if (1u << bit != EPOLL_CLOEXEC)
            CHECK_ERRNO(epoll_create1(1u << bit), EINVAL);
    CHECK_ERRNO(epoll_create1(EPOLL_CLOEXEC | 1), EINVAL);
    CHECK_ERRNO(epoll_create1(-1), EINVAL);

    CHECK_EQ(fcntl(OK(epoll_create1(0)), F_GETFD), 0);
    CHECK_EQ(fcntl(OK(epoll_create1(EPOLL_CLOEXEC)), F_GETFD), FD_CLOEXEC);
}

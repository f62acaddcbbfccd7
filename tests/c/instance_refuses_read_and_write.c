/* read() and write() on an instance are EINVAL, whether an item is ready or not (C4). */
#include "harness.h"

#include <sys/uio.h>

void test(void)
{
    int ep = new_epoll(), event = OK(eventfd(0, 0));
    ADD(ep, event, EPOLLIN, 1);

    for (int ready = 0; ready < 2; ready++) {
        char bytes[64] = {0};
        struct iovec vector = {bytes, sizeof bytes};
        CHECK_ERRNO(read(ep, bytes, sizeof bytes), EINVAL);
        CHECK_ERRNO(write(ep, bytes, sizeof bytes), EINVAL);
        CHECK_ERRNO(readv(ep, &vector, 1), EINVAL);
        CHECK_ERRNO(writev(ep, &vector, 1), EINVAL);
        add_one(event);
    }
    EXPECT_ONE(ep, 1, EPOLLIN);
}

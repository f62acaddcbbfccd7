/* If a wait has several errors, each of the calls reports the first in the order of W1. */
#include "harness.h"

void test(void)
{
    /* Static: from the stack, the largest number of events would reach beyond user space, which is
     * EFAULT. */
    static struct epoll_event at[2];
    struct epoll_event *kernel = (struct epoll_event *)0xffff800000000000;
    int ep = new_epoll(), no_epoll = OK(eventfd(0, 0)), unused = 999;
    for (enum call call = WAIT; call <= PWAIT2; call++) {
        /* A descriptor that is not open comes first. */
        CHECK_ERRNO(wait_by(call, unused, at, 0, 0, NULL), EBADF);
        CHECK_ERRNO(wait_by(call, -1, kernel, -1, 0, NULL), EBADF);

        /* Then the number of events. */
        int wrong[] = {0, -1, -0x80000000, 0x7fffffff / 12 + 1, 0x7fffffff};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            CHECK_ERRNO(wait_by(call, ep, at, wrong[i], 0, NULL), EINVAL);
            CHECK_ERRNO(wait_by(call, no_epoll, kernel, wrong[i], 0, NULL), EINVAL);
        }

        /* Then an address that is not in user space. */
        CHECK_ERRNO(wait_by(call, ep, kernel, 1, 0, NULL), EFAULT);
        CHECK_ERRNO(wait_by(call, no_epoll, kernel, 1, 0, NULL), EFAULT);

        /* Then a descriptor that is not an instance. */
        CHECK_ERRNO(wait_by(call, no_epoll, at, 1, 0, NULL), EINVAL);

        /* The largest number is valid, and so is NULL while there is nothing to report. */
        CHECK_EQ(wait_by(call, ep, at, 0x7fffffff / 12, 0, NULL), 0);
        CHECK_EQ(wait_by(call, ep, NULL, 1, 0, NULL), 0);
        CHECK_EQ(wait_by(call, ep, NULL, 1, 1, NULL), 0);
    }
}

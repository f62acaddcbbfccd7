/* epoll_pwait2() refuses an invalid timespec, waits without limit for NULL, and counts in
 * nanoseconds (W1, W2). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(0, 0));
    struct epoll_event at;
    ADD(ep, fd, EPOLLIN, 1);
    struct timespec wrong[] = {{-1, 0}, {0, -1}, {0, 1000000000}, {0, INT64_MAX}, {INT64_MIN, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_ERRNO(epoll_pwait2(ep, &at, 1, &wrong[i], NULL), EINVAL);
        CHECK_ERRNO(epoll_pwait2(999, &at, 0, &wrong[i], NULL), EINVAL);
    }
    CHECK_ERRNO(syscall(SYS_epoll_pwait2, ep, &at, 1, (void *)0x10, NULL, 8), EFAULT);

    /* Zero does not block, one nanosecond hardly does. */
    struct timespec zero = {0, 0}, least = {0, 1}, longest = {INT64_MAX, 999999999};
    CHECK_EQ(epoll_pwait2(ep, &at, 1, &zero, NULL), 0);
    CHECK_EQ(epoll_pwait2(ep, &at, 1, &least, NULL), 0);

    /* NULL waits without limit. */
    struct waiter waiter;
    start_waiter_by(&waiter, PWAIT2, ep, -1, NULL);
    add_one(fd);
    CHECK_EQ(join_waiter(&waiter), 1);

    /* The longest timeout is no error. */
    CHECK_EQ(epoll_pwait2(ep, &at, 1, &longest, NULL), 1);
}

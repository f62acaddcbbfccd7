/* A buffer that cannot be written is EFAULT only if there is an event to report, which is not lost
 * (W1). */
#include "harness.h"

#include <sys/mman.h>

void test(void)
{
    int ep = new_epoll(), level = OK(eventfd(1, 0)), edge = OK(eventfd(1, 0)), once = OK(eventfd(1, 0));
    struct epoll_event *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(readonly != MAP_FAILED);
    struct epoll_event *bad[] = {NULL, readonly, (struct epoll_event *)0x10};

    ADD(ep, edge, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++)
        CHECK_ERRNO(epoll_wait(ep, bad[i], 4, BOUND_MS), EFAULT);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(epoll_wait(ep, bad[i], 4, 0), 0);

    ADD(ep, once, EPOLLIN | EPOLLONESHOT, 2);
    CHECK_ERRNO(wait_by(WAIT, ep, NULL, 4, BOUND_MS, NULL), EFAULT);
    EXPECT_ONE(ep, 2, EPOLLIN);
    EXPECT_NONE_NOW(ep);

    ADD(ep, level, EPOLLIN, 3);
    CHECK_ERRNO(wait_by(WAIT, ep, NULL, 4, BOUND_MS, NULL), EFAULT);
    EXPECT_ONE(ep, 3, EPOLLIN);
    DEL(ep, level);

    /* The buffer ends in the middle: the events that fit are reported, the rest in the next
     * wait. */
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    OK(mprotect(pages + 4096, 4096, PROT_NONE));
    struct epoll_event *last = (struct epoll_event *)(pages + 4096) - 1;
    MOD(ep, edge, EPOLLIN | EPOLLET, 4);
    MOD(ep, once, EPOLLIN | EPOLLONESHOT, 5);
    CHECK_EQ(epoll_wait(ep, last, 4, 0), 1);
    CHECK_EQ(last->data.u64, 4);
    EXPECT_ONE(ep, 5, EPOLLIN);
    EXPECT_NONE_NOW(ep);
}

/* Each message that is put into a message queue or taken out wakes all its waiters, and every level
 * that is high then is reported (W4). */
#include "strangers.h"

void test(void)
{
    struct stranger s = {.fd = -1};
    make_queue(&s);
    if (s.fd < 0)
        exit(77);
    int ep = new_epoll();
    ADD(ep, s.fd, EPOLLIN | EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    for (int i = 0; i < 2; i++) {
        feed_queue(&s);
        EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
        EXPECT_NONE(ep);
    }
    CHECK(take_of_queue(&s));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    CHECK(take_of_queue(&s));
    EXPECT_ONE(ep, 1, EPOLLOUT);
    CHECK(!take_of_queue(&s));
    EXPECT_NONE(ep);

    /* The queue is full, and space is freed. */
    while (mq_send(s.fd, "arrival", ARRIVAL, 0) == 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK(take_of_queue(&s));
    EXPECT_ONE(ep, 1, EPOLLIN | EPOLLOUT);
    EXPECT_NONE(ep);
}

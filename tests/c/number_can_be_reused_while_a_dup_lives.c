/* A closed number is used and registered again while the old item reports through a dup: there are
 * two items (D3). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), first[2], second[2];
    make_pipe(first);
    ADD(ep, first[0], EPOLLIN, 1);
    int twin = OK(dup(first[0])), number = first[0];
    OK(close(number));
    OK(pipe2(second, O_NONBLOCK));
    CHECK_EQ(second[0], number);

    /* The new file is not registered, and is added beside the old one. */
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, number, NULL), ENOENT);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_MOD, number, EPOLLIN, 9), ENOENT);
    ADD(ep, number, EPOLLIN, 2);
    CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, number, EPOLLIN, 9), EEXIST);
    EXPECT_NONE_NOW(ep);
    write_bytes(first[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    write_bytes(second[1], 1);
    struct events events = wait_events(ep, 0);
    sort_by_data(&events);
    CHECK_EQ(events.n, 2);
    CHECK_EQ(events.at[0].data.u64, 1);
    CHECK_EQ(events.at[1].data.u64, 2);

    /* MOD and DEL by number apply to the new one. */
    MOD(ep, number, EPOLLIN, 3);
    DEL(ep, number);
    EXPECT_ONE(ep, 1, EPOLLIN);

    /* The old file gets its number back, and so its item can be named again. */
    OK(dup2(twin, number));
    MOD(ep, number, EPOLLIN, 4);
    EXPECT_ONE(ep, 4, EPOLLIN);
    OK(close(twin));
    EXPECT_ONE(ep, 4, EPOLLIN);
    OK(close(number));
    EXPECT_NONE(ep);
}

/* The key of an item is the open file description with the number: a dup is an item of its own,
 * with its own data and mask (T4). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    int dups[] = {dup(fd[0]), fcntl(fd[0], F_DUPFD, 20), fcntl(fd[0], F_DUPFD_CLOEXEC, 30), dup2(fd[0], 40),
                  dup3(fd[0], 41, O_CLOEXEC)};
    ADD(ep, fd[0], EPOLLIN, 100);
    for (int i = 0; i < 5; i++) {
        ADD(ep, dups[i], i == 0 ? EPOLLIN | EPOLLET : EPOLLIN, i);
        CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, dups[i], EPOLLIN, 0), EEXIST);
    }

    /* One write, an event for each item. */
    write_bytes(fd[1], 1);
    struct events events = wait_events(ep, BOUND_MS);
    sort_by_data(&events);
    CHECK_EQ(events.n, 6);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(events.at[i].data.u64, i);
    CHECK_EQ(events.at[5].data.u64, 100);

    /* The level-triggered items report again, the edge-triggered one does not; DEL of one leaves
     * the others. */
    CHECK_EQ(wait_events(ep, 0).n, 5);
    DEL(ep, fd[0]);
    DEL(ep, dups[1]);
    CHECK_EQ(wait_events(ep, 0).n, 3);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
}

/* When RLIMIT_NOFILE is used up, creating an instance fails with EMFILE, and an existing one keeps
 * working (C3). */
#include "harness.h"

void test(void)
{
    int ep = new_epoll(), fd[2];
    make_pipe(fd);
    ADD(ep, fd[0], EPOLLIN, 1);

    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 64;
    OK(setrlimit(RLIMIT_NOFILE, &limit));

    /* Every number is taken. */
    int last = -1, next;
    while ((next = dup(fd[0])) >= 0)
        last = next;
    CHECK_EQ(errno, EMFILE);
    CHECK_ERRNO(epoll_create1(0), EMFILE);
    CHECK_ERRNO(epoll_create(1), EMFILE);

    /* Control and wait need no number. */
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    MOD(ep, fd[0], EPOLLIN | EPOLLET, 2);
    EXPECT_ONE(ep, 2, EPOLLIN);

    /* One number is free again. */
    OK(close(last));
    CHECK_EQ(epoll_create1(0), last);
}

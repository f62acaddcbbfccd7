/* The first thread gets a descriptor table of its own (unshare). Another thread forks: the child
 * has the descriptors and the instances of that thread, and so do the threads that the child starts
 * (D5). */
#include "harness.h"

#include <sched.h>

static int ep, bell;
static atomic_bool is_apart;

static void *use_all(void *unused)
{
    int own = new_epoll(), other = OK(eventfd(1, 0));
    EXPECT_ONE(ep, 1, EPOLLIN);
    ADD(own, other, EPOLLIN, 2);
    EXPECT_ONE(own, 2, EPOLLIN);
    OK(close(other));
    EXPECT_NONE_NOW(own);
    OK(close(own));
    return unused;
}

static void *forks(void *unused)
{
    UNTIL(is_apart);
    pid_t child = OK(fork());
    if (child == 0) {
        struct thread thread;
        use_all(NULL);
        start_thread(&thread, use_all, NULL);
        join_thread(&thread);
        _exit(0);
    }
    int status;
    OK(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
    return use_all(unused);
}

void test(void)
{
    struct thread thread;
    ep = new_epoll();
    bell = OK(eventfd(1, 0));
    ADD(ep, bell, EPOLLIN, 1);
    start_thread(&thread, forks, NULL);
    OK(unshare(CLONE_FILES));
    is_apart = true;
    join_thread(&thread);
}

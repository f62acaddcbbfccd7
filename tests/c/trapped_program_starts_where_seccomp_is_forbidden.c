/* A program whose instructions are trapped starts under a filter that ends it at seccomp(2) and
 * personality(2), which the lists of allowed calls of services often lack. */
#define IS_RUST
#include "raw_go.h"
#include "faults.h"

#if HAS_GO_CALLS
#define AGAIN "TRAPPED_PROGRAM_AGAIN"

void test(void)
{
    if (getenv(AGAIN) == NULL) {
        OK(setenv(AGAIN, "1", 1));
        forbid_call(SYS_personality);
        forbid_call(SYS_seccomp);
        execl("/proc/self/exe", "again", (char *)NULL);
        CHECK(!"executed");
    }
    struct epoll_event out;
    uint64_t one = 1;
    int ep = go_epoll_create1(0, 0, 0, 0), fd = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, fd, EPOLLIN, 1);
    CHECK_EQ(go_wait(ep, &out, 1, 0), 0);
    CHECK_EQ(go_write(fd, (long)&one, sizeof one, 0), sizeof one);
    CHECK_EQ(go_wait(ep, &out, 1, BOUND_MS), 1);
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif

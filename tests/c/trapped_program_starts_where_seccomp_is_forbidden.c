/* A program whose instructions are trapped starts under a filter that ends it at seccomp(2) and
 * personality(2), which the lists of allowed calls of services often lack. */
#define IS_RUST
#include "raw_go.h"

#if HAS_GO_CALLS
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define AGAIN "TRAPPED_PROGRAM_AGAIN"

static void forbid(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

void test(void)
{
    if (getenv(AGAIN) == NULL) {
        OK(setenv(AGAIN, "1", 1));
        forbid();
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

/* An unwinder finds the instruction that was trapped, although the library runs on another stack:
 * debuggers, profilers and panics show who called. */
#define IS_RUST
#include "raw_go.h"

#if HAS_GO_CALLS
#include <execinfo.h>
#include <signal.h>

#define MOST 64

static volatile bool found;

static void look(void)
{
    void *addresses[MOST];
    int length = backtrace(addresses, MOST);
    for (int i = 0; i < length; i++) {
        long into = (char *)addresses[i] - (char *)go_epoll_pwait;
        found |= into > 0 && into < 32;
    }
}

static void on_alarm(int signal)
{
    (void)signal;
    look();
}

void test(void)
{
    struct epoll_event out;
    int ep = new_epoll();
    /* The first call loads the unwinder. */
    look();
    CHECK(!found);
    OK(signal(SIGALRM, on_alarm) == SIG_ERR ? -1 : 0);
    ualarm(50000, 50000);
    CHECK_EQ(go_wait(ep, &out, 1, BOUND_MS), -EINTR);
    ualarm(0, 0);
    CHECK(found);
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif

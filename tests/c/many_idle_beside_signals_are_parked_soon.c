/* Descriptors that are silent for long cost waits nothing, also those that cannot send signals beside
 * many that do: with EPOLYFILL_POLLER=auto, where the kernel refuses io_uring, a watcher thread soon
 * has them, because the others count for nothing in its price. */
#include "harness.h"

#include <sys/eventfd.h>

enum { PAIRS = 400, EVENTFDS = 100, WAITS = 120 };

static int threads(void)
{
    int number = 0;
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL && sscanf(line, "Threads: %d", &number) != 1)
        ;
    CHECK_EQ(fclose(status), 0);
    return number;
}

void test(void)
{
    int ep = new_epoll(), fd[PAIRS][2];
    for (int i = 0; i < PAIRS; i++) {
        make_pair(SOCK_STREAM, fd[i]);
        ADD(ep, fd[i][0], EPOLLIN, i);
    }
    for (int i = 0; i < EVENTFDS; i++)
        ADD(ep, OK(eventfd(0, EFD_NONBLOCK)), EPOLLIN, PAIRS + i);
    const char *poller = getenv("EPOLYFILL_POLLER");
    bool chooses = poller != NULL && strcmp(poller, "auto") == 0;
    int before = threads();
    for (int i = 0; i < WAITS; i++) {
        write_bytes(fd[0][1], 1);
        EXPECT_ONE(ep, 0, EPOLLIN);
        CHECK_EQ(read_all(fd[0][0]), 1);
    }
    CHECK(!chooses || threads() > before);
}

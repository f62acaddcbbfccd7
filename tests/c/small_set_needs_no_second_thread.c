/* A program with few descriptors stays single-threaded, however long it waits on them; only a large
 * idle set may cost a thread. */
#include "harness.h"

#include <dirent.h>

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        n += entry->d_name[0] != '.';
    OK(closedir(tasks));
    return n;
}

void test(void)
{
    int ep = new_epoll(), busy = OK(eventfd(1, 0));
    for (int i = 0; i < 48; i++) {
        int fd[2];
        make_pipe(fd);
        ADD(ep, fd[0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    ADD(ep, busy, EPOLLIN, 99);
    for (int i = 0; i < 5000; i++)
        EXPECT_ONE(ep, 99, EPOLLIN);
    CHECK_EQ(threads(), 1);
}

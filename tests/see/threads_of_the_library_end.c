// The library has no thread before the first wait, and none for long after the last one: a process
// ends with the last thread of its own.
// audit: nothing
#include "see.h"
#include <dirent.h>
#include <pthread.h>
#include <sched.h>

static int threads(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    CHECK(closedir(directory) == 0);
    return count;
}

static void *use(void *unused)
{
    int fds[2], epfd = new_instance();
    struct epoll_event event;
    char byte;
    pair(fds);
    watch(epfd, fds[0], EPOLLIN);
    watch(epfd, fds[1], EPOLLIN);
    for (int i = 0; i < 3; i++) {
        CHECK(write(fds[1], "x", 1) == 1);
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        CHECK(read(fds[0], &byte, 1) == 1);
    }
    CHECK(epoll_wait(epfd, &event, 1, 10) == 0);
    return unused;
}

int main(void)
{
    pthread_t thread;
    int status;
    CHECK(threads() == 1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(threads() == 1);
        CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
        pthread_exit(NULL);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    use(NULL);
    // Only a process with one thread can unshare this, and it stays as it is.
    CHECK(unshare(CLONE_THREAD) == 0);
    CHECK(threads() == 1);
    use(NULL);
    for (int ms = 0; threads() > 1; ms += 50) {
        CHECK(ms < 30000);
        rest(50);
    }
    return 7;
}

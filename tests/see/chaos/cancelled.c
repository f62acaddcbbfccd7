// A thread is cancelled in a wait that delays an arrival. Another thread, which sleeps on the same
// instance, gets it.
#include "peer.h"
#include <pthread.h>

static int epfd;

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < 20 && receive(theirs[0], &answer, 1); i++)
        CHECK(write(theirs[0], "x", 1) == 1);
}

static void *wait_here(void *got)
{
    struct epoll_event event;
    while (await(epfd, &event, 1, -1) != 1)
        ;
    *(bool *)got = true;
    return NULL;
}

int main(void)
{
    int end;
    peer(AF_INET, 1, &end, run);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, end, EPOLLIN);
    struct epoll_event event;
    await(epfd, &event, 1, 0);
    for (int i = 0; i < 20; i++) {
        bool got[2] = {false, false};
        pthread_t first, second;
        CHECK(pthread_create(&second, NULL, wait_here, &got[1]) == 0);
        rest(2);
        CHECK(pthread_create(&first, NULL, wait_here, &got[0]) == 0);
        rest(2);
        CHECK(write(end, "y", 1) == 1);
        usleep(500 * i);
        pthread_cancel(first);
        CHECK(pthread_join(first, NULL) == 0);
        // Level-triggered: what the first took when it was cancelled is there for the second.
        if (!got[0]) {
            struct timespec limit;
            clock_gettime(CLOCK_REALTIME, &limit);
            limit.tv_sec += 5;
            if (pthread_timedjoin_np(second, NULL, &limit) != 0)
                fail("the other thread sleeps on an event that is due");
            CHECK(got[1]);
        } else {
            pthread_cancel(second);
            CHECK(pthread_join(second, NULL) == 0);
        }
        CHECK(read(end, &(char){0}, 1) == 1);
    }
}

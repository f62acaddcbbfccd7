// Which of the waiting threads gets an event is not defined. The faulty program counts on the one
// that waited last, as Linux does it today.
#include "peer.h"
#include <pthread.h>

static int end, epfd;

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < 60 && receive(theirs[0], &answer, 1); i++) {
        rest(4);
        CHECK(write(theirs[0], "x", 1) == 1);
    }
}

static void answer_one(void)
{
    char message;
    // The peer does not wait for the last answer.
    if (read(end, &message, 1) == 1)
        (void)!send(end, "y", 1, MSG_NOSIGNAL);
}

static void *helper(void *unused)
{
    for (;;) {
        struct epoll_event event;
        if (await(epfd, &event, 1, -1) == 1) {
            if (faulty)
                fail("the helper got a message of the main thread");
            answer_one();
        }
    }
    return unused;
}

int main(void)
{
    peer(AF_UNIX, 1, &end, run);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, helper, NULL) == 0);
    rest(20);
    watch(epfd, end, EPOLLIN | EPOLLET);
    CHECK(write(end, "y", 1) == 1);
    // Until the peer has had all its answers.
    for (;;) {
        struct epoll_event event;
        while (await(epfd, &event, 1, 1000) != 1)
            if (recv(end, &(char){0}, 1, MSG_PEEK) == 0)
                return 0;
        if (recv(end, &(char){0}, 1, MSG_PEEK) == 0)
            return 0;
        answer_one();
    }
}

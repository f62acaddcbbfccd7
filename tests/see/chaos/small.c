// A socket's buffer can be small. The faulty program expects room for an answer of 64 KiB.
#include "peer.h"

enum { ANSWER = 64 << 10 };

static void run(const int theirs[])
{
    static char answer[ANSWER];
    for (int i = 0; i < 20; i++)
        if (write(theirs[0], "x", 1) != 1 || !receive(theirs[0], answer, ANSWER))
            return;
}

int main(void)
{
    static const char answer[ANSWER];
    int end;
    peer(AF_UNIX, 1, &end, run);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, end, EPOLLIN | EPOLLOUT | EPOLLET);
    for (int i = 0; i < 20; i++) {
        struct epoll_event event;
        while (read(end, &(char){0}, 1) != 1)
            await(epfd, &event, 1, -1);
        for (size_t sent = 0; sent < ANSWER;) {
            ssize_t n = write(end, answer + sent, ANSWER - sent);
            if (faulty && n < ANSWER)
                fail("an answer does not fit");
            if (n < 0)
                await(epfd, &event, 1, -1);
            else
                sent += (size_t)n;
        }
    }
}

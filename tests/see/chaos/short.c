// A read may return less than there is. The faulty program takes one read for one message.
#include "peer.h"

static void run(const int theirs[])
{
    char answer;
    for (int i = 0; i < ROUNDS; i++) {
        for (ssize_t sent = 0; sent < 8;) {
            ssize_t n = send(theirs[0], &"12345678"[sent], 8 - (size_t)sent, 0);
            CHECK(n > 0);
            sent += n;
        }
        if (!receive(theirs[0], &answer, 1))
            return;
    }
}

int main(void)
{
    int end;
    peer(AF_UNIX, 1, &end, run);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    watch(epfd, end, EPOLLIN);
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t got = 0; got < 8;) {
            struct epoll_event event;
            char message[8];
            while (await(epfd, &event, 1, -1) != 1)
                ;
            ssize_t n = read(end, message, sizeof message - got);
            if (faulty && n < 8)
                fail("a part of a message");
            CHECK(n > 0);
            got += (size_t)n;
        }
        CHECK(write(end, "y", 1) == 1);
    }
}

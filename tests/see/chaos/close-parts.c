// The end of a connection can be seen later than the data before it. The faulty program expects both
// in one event.
#include "peer.h"

static void run(const int theirs[])
{
    CHECK(write(theirs[0], "x", 1) == 1);
}

int main(void)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < 20; i++) {
        int end;
        peer(AF_INET, 1, &end, run);
        rest(5);
        watch(epfd, end, EPOLLIN | EPOLLRDHUP | EPOLLET);
        struct epoll_event event = {0};
        // The data and the end have both arrived; one wait to settle, one that may show them in parts.
        for (bool has_data = false; !(event.events & EPOLLRDHUP);) {
            while (await(epfd, &event, 1, -1) != 1)
                ;
            if (faulty && !(event.events & EPOLLRDHUP))
                fail("data without the end that came with it");
            has_data |= (event.events & EPOLLIN) != 0;
            CHECK(has_data);
        }
        CHECK(read(end, &(char){0}, 1) == 1 && read(end, &(char){0}, 1) == 0);
        close(end);
    }
}

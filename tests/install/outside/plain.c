/* A program without any knowledge of epolyfill: it waits for a pipe, and prints the link of its
 * epoll descriptor. */
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

int main(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    char link[64], name[64] = "";
    int ends[2], ep = epoll_create1(0);
    if (ep < 0 || pipe(ends) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) != 0 || write(ends[1], "x", 1) != 1 ||
        epoll_wait(ep, &event, 1, 5000) != 1) {
        perror("epoll");
        return 1;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", ep);
    if (readlink(link, name, sizeof name - 1) < 0)
        return 1;
    puts(name);
    return 0;
}

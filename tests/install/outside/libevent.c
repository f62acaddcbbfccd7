/* A program whose epoll functions are called by libevent alone: the program itself does not need
 * epolyfill, and the linker is told to drop unneeded libraries. It prints the file with the epoll
 * functions that libevent calls, after an event passed through them. */
#include <dlfcn.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void on_byte(evutil_socket_t fd, short what, void *base)
{
    char byte;
    (void)what;
    if (read((int)fd, &byte, 1) == 1)
        event_base_loopbreak(base);
}

static int is_served(void)
{
    char link[64], name[64];
    int fd;
    for (fd = 3; fd < 64; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, name, sizeof name - 1);
        if (length > 0 && strncmp(name, "anon_inode:[eventpoll]", (size_t)length) == 0)
            return 0;
    }
    return 1;
}

int main(void)
{
    struct timeval bound = {5, 0};
    struct event_base *base = event_base_new();
    struct event *event;
    int ends[2];
    Dl_info info;

    if (!base || strcmp(event_base_get_method(base), "epoll") != 0 || pipe(ends) != 0 || write(ends[1], "x", 1) != 1)
        return 1;
    event = event_new(base, ends[0], EV_READ, on_byte, base);
    if (!event || event_add(event, &bound) != 0 || event_base_dispatch(base) != 0 || !event_base_got_break(base) || !is_served())
        return 1;
    /* By name: using the address of epoll_wait would make the program need the library. */
    void *wait = dlsym(RTLD_DEFAULT, "epoll_wait");
    if (!wait || dladdr(wait, &info) == 0)
        return 1;
    printf("served by %s\n", info.dli_fname);
    return 0;
}

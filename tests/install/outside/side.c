/* A program that uses both: the kernel's epoll by libc's names, and the library's by its own. It
 * prints the file with the library's functions. */
#include <dlfcn.h>
#include <epolyfill.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int has_name(int fd, const char *beginning)
{
    char link[64], name[64] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, name, sizeof name - 1) > 0 && strncmp(name, beginning, strlen(beginning)) == 0;
}

int main(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int kernel = epoll_create1(0), ours = epolyfill_create1(0), ends[2];
    Dl_info info;

    if (strcmp(epolyfill_version(), EPOLYFILL_VERSION) != 0 || pipe(ends) != 0 || write(ends[1], "x", 1) != 1)
        return 1;
    if (!has_name(kernel, "anon_inode:[eventpoll]") || !has_name(ours, "pipe:"))
        return 1;
    if (epoll_ctl(kernel, EPOLL_CTL_ADD, ends[0], &event) != 0 || epoll_wait(kernel, &event, 1, 5000) != 1)
        return 1;
    if (epolyfill_ctl(ours, EPOLL_CTL_ADD, ends[0], &event) != 0 || epolyfill_wait(ours, &event, 1, 5000) != 1)
        return 1;
    if (dladdr((void *)epolyfill_create1, &info) == 0)
        return 1;
    printf("served by %s\n", info.dli_fname);
    return 0;
}

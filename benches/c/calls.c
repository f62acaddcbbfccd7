/* The cost of read, write and close on descriptors that are not watched: nanoseconds per call, the
 * minimum of many short series. */
#include "common.h"
#include <sys/epoll.h>

enum { SERIES = 1000 };

static long repeats = 100;
static bool watching;
static const struct option options[] = {
    {"repeats", NUMBER, &repeats, "series of 1000 calls, of which the fastest counts"},
    {"watching", SWITCH, &watching, "another descriptor is in an instance meanwhile"},
    {NULL, 0, NULL, NULL}};

static int opened[SERIES];

static double series(int call, int fd)
{
    char byte = 0;
    if (call == 2)
        for (int i = 0; i < SERIES; i++)
            opened[i] = must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
    uint64_t start = now_ns();
    long done = 0;
    for (int i = 0; i < SERIES; i++)
        if (call == 0)
            done += read(fd, &byte, 1);
        else if (call == 1)
            done += write(fd, &byte, 1);
        else
            done += close(opened[i]) + 1;
    uint64_t end = now_ns();
    if (done != (call == 0 ? 0 : SERIES))
        die("a call failed: %s", strerror(errno));
    return (double)(end - start) / SERIES;
}

int main(int argc, char **argv)
{
    double least[3] = {1e9, 1e9, 1e9};
    int pipe_ends[2];
    parse(argc, argv, options);
    raise_limit(SERIES);
    if (watching) {
        struct epoll_event event = {.events = EPOLLIN};
        must(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), "pipe2");
        must(epoll_ctl(must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"), EPOLL_CTL_ADD, pipe_ends[0], &event), "EPOLL_CTL_ADD");
    }
    int fd = must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
    for (long i = 0; i < repeats; i++)
        for (int call = 0; call < 3; call++) {
            double ns = series(call, fd);
            if (ns < least[call])
                least[call] = ns;
        }
    printf("calls read=%.2f write=%.2f close=%.2f\n", least[0], least[1], least[2]);
    return 0;
}

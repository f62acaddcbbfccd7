/*
 * The memory that a registration takes in this process: the growth of resident memory when
 * descriptors are added, and after some waits. The kernel's own memory for them is not included.
 */
#include "far.h"
#include "loop.h"

static long descriptors = 10000;
static const char *kind = "pipe";
static bool edge;
static const struct option options[] = {
    {"descriptors", NUMBER, &descriptors, "how many are added"},
    {"kind", TEXT, &kind, "pipe, unix, eventfd or tcp"},
    {"edge", SWITCH, &edge, "edge-triggered"},
    {NULL, 0, NULL, NULL}};

/* Returns the private dirty memory in bytes. It does not use stdio, whose buffer would be
 * counted. */
static long resident(void)
{
    char text[4096];
    int fd = must(open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC), "/proc/self/smaps_rollup");
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    const char *line = strstr(text, "Private_Dirty:");
    if (line == NULL)
        die("/proc/self/smaps_rollup has no Private_Dirty");
    return strtol(line + strlen("Private_Dirty:"), NULL, 10) * 1024;
}

int main(int argc, char **argv)
{
    struct epoll_event events[64];
    parse(argc, argv, options);
    raise_limit((size_t)descriptors);
    int *fds = memory((size_t)descriptors, sizeof(int));
    far_ends(kind, (size_t)descriptors, fds);
    struct loop *loop = new_loop("epoll");
    /* Memory that is needed once does not belong to a registration. */
    int first[2];
    must(pipe2(first, O_CLOEXEC | O_NONBLOCK), "pipe2");
    if (write(first[1], "r", 1) != 1)
        die("write: %s", strerror(errno));
    loop_add(loop, first[0], EPOLLIN, 0);
    if (loop_wait(loop, events, 64, 0) != 1)
        die("what is ready is not reported");
    resident();
    long before = resident();
    for (long i = 0; i < descriptors; i++)
        loop_add(loop, fds[i], EPOLLIN | (edge ? EPOLLET : 0), (uint64_t)i);
    long added = resident();
    /* Enough waits for whatever an implementation prepares while it waits. */
    for (int i = 0; i < 2000; i++)
        if (loop_wait(loop, events, 64, 0) != 1)
            die("what is ready is not reported");
    long waited = resident();
    printf("registrations epoll=%s descriptors=%ld added=%.1f waited=%.1f\n", whose(loop), descriptors, (double)(added - before) / (double)descriptors,
           (double)(waited - before) / (double)descriptors);
    return 0;
}

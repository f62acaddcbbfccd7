/* An eventfd for ctest, whose libuv needs one, on a kernel that has none: a datagram socket that is
 * connected to itself. The constructor takes it out of the environment again, so no test has it. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((constructor)) static void restore_environment(void)
{
    const char *others = getenv("EPOLYFILL_TEST_PRELOAD");
    if (others != NULL)
        setenv("LD_PRELOAD", others, 1);
}

/* Without a name to bind to, the kernel picks one. The flags are those of a socket. */
int eventfd(unsigned count, int flags)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    socklen_t length = sizeof own.sun_family;
    int fd = socket(AF_UNIX, SOCK_DGRAM | flags, 0);
    (void)count;
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&own, length) == 0) {
        length = sizeof own;
        if (getsockname(fd, (struct sockaddr *)&own, &length) == 0 && connect(fd, (struct sockaddr *)&own, length) == 0)
            return fd;
    }
    close(fd);
    return -1;
}

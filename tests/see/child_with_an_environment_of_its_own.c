// A child in another session, without environment and standard descriptors, spins after its parent
// has ended.
// audit: fault spin watch
#include "see.h"

extern char **environ;

int main(void)
{
    int fds[2], epfd;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0)
        return 7;
    CHECK(setsid() > 0);
    clearenv();
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    CHECK(open("/dev/null", O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2);
    rest(300);
    epfd = new_instance();
    pair(fds);
    watch(epfd, fds[0], EPOLLOUT);
    spin(epfd);
    return 0;
}

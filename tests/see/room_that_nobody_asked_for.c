// Asks for room with nothing to write.
// audit: fault spin watch
#include "see.h"

int main(void)
{
    int fds[2], epfd = new_instance();
    pair(fds);
    watch(epfd, fds[0], EPOLLIN | EPOLLOUT);
    spin(epfd);
    return 7;
}

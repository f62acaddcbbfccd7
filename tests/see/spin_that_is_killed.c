// Spins until it is killed; what was found until then is there.
// audit: fault spin watch
#include "see.h"

int main(void)
{
    int fds[2], epfd = new_instance();
    pair(fds);
    CHECK(close(fds[1]) == 0);
    watch(epfd, fds[0], 0);
    spin(epfd);
    rest(50);
    raise(SIGKILL);
}

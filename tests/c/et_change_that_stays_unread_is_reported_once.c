/* A change of a cgroup file is reported once, whether it is read or not; the next change is still
 * an edge. */
#include "attribute.h"

void test(void)
{
    struct attribute it = open_attribute();
    int ep = new_epoll();
    read_attribute(&it);
    ADD(ep, it.fd, EPOLLPRI | EPOLLET, 1);
    for (int i = 0; i < 3; i++) {
        change_attribute(&it);
        EXPECT_ONE(ep, 1, EPOLLPRI | EPOLLERR);
    }
    EXPECT_NONE(ep);
    close_attribute(&it);
}

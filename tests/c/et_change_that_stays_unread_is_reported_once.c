/* A change of a file of a cgroup is reported once, read or not; the next one is an edge all the
 * same. */
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

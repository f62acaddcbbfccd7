/* A cgroup file is always readable and writable, which is reported once. Each change is an edge,
 * which shows until the file is read. */
#include "attribute.h"

void test(void)
{
    struct attribute it = open_attribute();
    static const uint32_t masks[] = {0, EPOLLIN, EPOLLPRI, EPOLLIN | EPOLLOUT | EPOLLPRI};
    for (unsigned i = 0; i < sizeof masks / sizeof *masks; i++) {
        int ep = new_epoll();
        uint32_t always = masks[i] & (EPOLLIN | EPOLLOUT), changed = masks[i] | EPOLLERR;
        read_attribute(&it);
        ADD(ep, it.fd, masks[i] | EPOLLET, 1);
        if (always != 0)
            EXPECT_ONE(ep, 1, always);
        EXPECT_NONE(ep);
        for (int round = 0; round < 3; round++) {
            change_attribute(&it);
            EXPECT_ONE(ep, 1, changed);
            EXPECT_NONE_NOW(ep);
            read_attribute(&it);
            EXPECT_NONE(ep);
        }
        MOD(ep, it.fd, masks[i], 2);
        change_attribute(&it);
        UNTIL(wait_events(ep, 0).at[0].events == changed);
        EXPECT_ONE(ep, 2, changed);
        read_attribute(&it);
        if (always != 0)
            EXPECT_ONE(ep, 2, always);
        else
            EXPECT_NONE(ep);
        OK(close(ep));
    }
    close_attribute(&it);
}

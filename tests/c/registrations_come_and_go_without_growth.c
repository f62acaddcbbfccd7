/* Two hundred thousand registrations that come and go without a wait leak no memory and no
 * descriptors (T9). */
#include "harness.h"

#define ROUNDS 200000

void test(void)
{
    int ep = new_epoll(), fd[2], null = OK(open("/dev/null", O_RDONLY));
    make_pipe(fd);
    write_bytes(fd[1], 1);
    long before = 0;
    int descriptors = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t mode = i % 3 == 0 ? EPOLLIN : i % 3 == 1 ? EPOLLIN | EPOLLET : EPOLLOUT | EPOLLONESHOT;

        /* Ready and idle, removed by DEL, by close and by dup2. */
        ADD(ep, fd[i & 1], mode, i);
        DEL(ep, fd[i & 1]);
        if (i % 4 == 0) {
            int other = OK(eventfd(i & 4, 0));
            ADD(ep, other, mode, i);
            if (i & 8)
                OK(dup2(null, other));
            OK(close(other));
        }
        if (i == ROUNDS / 20) {
            before = resident_kb();
            descriptors = open_descriptors();
        }
    }
    CHECK(resident_kb() - before < 2048);
    CHECK_EQ(open_descriptors(), descriptors);
    EXPECT_NONE(ep);
}

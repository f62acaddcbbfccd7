/* Events inside an instance while its descriptor is closed, or after it was closed past libc, raise
 * no signal, however the outer instance learns of them (N1): SIGPIPE ends no program and wakes no
 * signalfd. */
#include "oracle.h"

enum { ROUNDS = 500 };

static int bell, outer;
static atomic_bool over;

static void *ring(void *unused)
{
    while (!over)
        OK(eventfd_write(bell, 1));
    return unused;
}

static int nested_instance(void)
{
    int inner = new_epoll();
    ADD(inner, bell, EPOLLIN | EPOLLET, 1);
    ADD(outer, inner, EPOLLIN, 2);
    return inner;
}

void test(void)
{
    signal(SIGPIPE, SIG_DFL);
    outer = new_epoll(), bell = OK(eventfd(0, EFD_NONBLOCK));
    int inner = nested_instance();
    EXPECT_NONE_NOW(outer);
    CHECK_EQ(bare(SYS_close, inner, 0, 0, 0, 0, 0), 0);
    OK(eventfd_write(bell, 1));
    EXPECT_NONE_NOW(outer);

    struct thread thread;
    start_thread(&thread, ring, NULL);
    for (int i = 0; i < ROUNDS; i++)
        OK(close(nested_instance()));
    over = true;
    join_thread(&thread);
    EXPECT_NONE_NOW(outer);
}

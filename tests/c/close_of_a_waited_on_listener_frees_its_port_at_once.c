/* When the close of a listener has returned, its port can be bound again, although a thread waits
 * for the listener (D4). */
#include "harness.h"

#include <netinet/in.h>

void test(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int listener = tcp_listener(), ep = new_epoll(), stop = OK(eventfd(0, 0));
    OK(getsockname(listener, (struct sockaddr *)&address, &size));
    ADD(ep, stop, EPOLLIN, 2);
    struct waiter waiter;
    start_waiter(&waiter, ep);
    for (int i = 0; i < 20; i++) {
        ADD(ep, listener, i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, 1);
        wait_until_blocked(waiter.thread.tid);
        OK(close(listener));
        listener = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        OK(bind(listener, (struct sockaddr *)&address, size));
        OK(listen(listener, 5));
    }
    add_one(stop);
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 2);
}

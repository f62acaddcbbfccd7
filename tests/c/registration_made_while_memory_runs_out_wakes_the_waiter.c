/* While a thread sleeps in a wait and there is no more memory, each registration that another
 * thread adds either is refused with ENOMEM or wakes the sleeper when its descriptor is ready
 * (T6). */
#include "faults.h"

#define N 4000

static int ep, fds[N];
static atomic_int heard;

static void *hears(void *arg)
{
    (void)arg;
    for (;;) {
        struct epoll_event events[16];
        int n = OK(epoll_wait(ep, events, 16, -1));
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == N)
                return NULL;
            CHECK_EQ(read_all(fds[events[i].data.u64]), 8);
            atomic_fetch_add(&heard, 1);
        }
    }
}

void test(void)
{
    raise_descriptor_limit();
    trap_mappings();
    for (int i = 0; i < N; i++)
        fds[i] = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    int end = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    ep = new_epoll();
    ADD(ep, end, EPOLLIN, N);
    struct thread thread;
    start_thread(&thread, hears, NULL);
    wait_until_blocked(thread.tid);
    int n = 0;
    for (long mappings = 0; mappings < 4; mappings++) {
        atomic_store(&mappings_left, mappings);
        int refused = 0;
        for (; n < N && !refused; n += !refused) {
            refused = ctl(ep, EPOLL_CTL_ADD, fds[n], n % 2 ? EPOLLIN : EPOLLIN | EPOLLET, n) != 0;
            CHECK(!refused || (errno == ENOMEM && !on_the_kernel()));
            if (refused || n % 100 == 0) {
                /* All added registrations are reported, including the last one before the
                 * refusal. */
                int last = refused ? n - 1 : n, before = atomic_load(&heard);
                for (int i = last; i >= 0 && i > last - 5; i--)
                    add_one(fds[i]);
                int told = last < 5 ? last + 1 : 5;
                UNTIL(atomic_load(&heard) == before + told);
            }
        }
    }
    CHECK(on_the_kernel() || atomic_load(&mappings_refused) > 0);
    add_one(end);
    join_thread(&thread);
}

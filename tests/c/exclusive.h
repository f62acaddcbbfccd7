/* Four threads, each with an instance of its own that watches one listener exclusively, and a fifth
 * instance that watches it without EPOLLEXCLUSIVE. Two of the four are edge-triggered and accept
 * until EAGAIN. For the exclusive_*.c tests. */
#include "harness.h"

#define CREW 4
#define CONNECTIONS 50

struct crew {
    int listener, stop, beside;
    atomic_int wakes, accepted;
    atomic_bool hold; /* a woken thread does not accept yet */
    struct thread threads[CREW];
};

static void *crew_member(void *arg)
{
    static atomic_int members;
    struct crew *crew = arg;
    int ep = new_epoll();
    bool edge = atomic_fetch_add(&members, 1) % 2;
    ADD(ep, crew->stop, EPOLLIN, 9);
    ADD(ep, crew->listener, EPOLLIN | EPOLLEXCLUSIVE | (edge ? EPOLLET : 0), 1);
    for (;;) {
        struct events events = wait_at_most(ep, 1, -1);
        CHECK_EQ(events.n, 1);
        if (events.at[0].data.u64 == 9)
            return NULL;
        atomic_fetch_add(&crew->wakes, 1);
        UNTIL(!atomic_load(&crew->hold));
        int fd;
        while ((fd = accept(crew->listener, NULL, NULL)) >= 0) {
            OK(close(fd));
            atomic_fetch_add(&crew->accepted, 1);
            if (!edge)
                break;
        }
    }
}

static void start_crew(struct crew *crew)
{
    crew->listener = tcp_listener();
    crew->stop = OK(eventfd(0, 0));
    crew->beside = new_epoll();
    crew->wakes = crew->accepted = 0;
    crew->hold = false;
    ADD(crew->beside, crew->listener, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < CREW; i++)
        start_thread(&crew->threads[i], crew_member, crew);
}

static inline void wait_until_crew_is_blocked(struct crew *crew)
{
    for (int i = 0; i < CREW; i++)
        wait_until_blocked(crew->threads[i].tid);
}

static void stop_crew(struct crew *crew)
{
    add_one(crew->stop);
    for (int i = 0; i < CREW; i++)
        join_thread(&crew->threads[i]);
}

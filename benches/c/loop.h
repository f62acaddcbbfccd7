/*
 * The smallest event loop that can be epoll or poll: the code that a program needs in order to
 * offer the choice.
 *
 * With poll the whole array is passed in every wait, as in programs before epoll.
 */
#ifndef LOOP_H
#define LOOP_H

#include "common.h"
#include <poll.h>
#include <sys/epoll.h>

_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR && POLLHUP == EPOLLHUP, "one set of bits");

struct loop {
    int epoll; /* -1: poll */
    struct pollfd *set;
    uint64_t *data;
    int *place; /* the index of each descriptor in the set */
    size_t count, room;
};

static inline struct loop *new_loop(const char *with)
{
    static const char *const ways[] = {"epoll", "poll", NULL};
    struct loop *l = memory(1, sizeof *l);
    l->epoll = one_of("with", with, ways) == 0 ? must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1") : -1;
    return l;
}

static inline const char *whose(const struct loop *l)
{
    return l->epoll < 0 ? "poll" : whose_epoll(l->epoll);
}

static inline void loop_add(struct loop *l, int fd, uint32_t events, uint64_t data)
{
    if (l->epoll >= 0) {
        struct epoll_event e = {.events = events, .data.u64 = data};
        must(epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e), "EPOLL_CTL_ADD");
        return;
    }
    if (l->place == NULL)
        l->place = memory(65536, sizeof *l->place);
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->set = realloc(l->set, l->room * sizeof *l->set);
        l->data = realloc(l->data, l->room * sizeof *l->data);
        if (l->set == NULL || l->data == NULL || fd >= 65536)
            die("no room for descriptor %d in the set of poll", fd);
    }
    l->place[fd] = (int)l->count;
    l->set[l->count] = (struct pollfd){.fd = fd, .events = (short)events};
    l->data[l->count++] = data;
}

static inline void loop_mod(struct loop *l, int fd, uint32_t events, uint64_t data)
{
    if (l->epoll >= 0) {
        struct epoll_event e = {.events = events, .data.u64 = data};
        must(epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &e), "EPOLL_CTL_MOD");
    } else {
        l->set[l->place[fd]].events = (short)events;
        l->data[l->place[fd]] = data;
    }
}

/* Call it before `close`, which ends a registration of epoll by itself. */
static inline void loop_forget(struct loop *l, int fd)
{
    if (l->epoll >= 0)
        return;
    int at = l->place[fd];
    l->count--;
    l->set[at] = l->set[l->count];
    l->data[at] = l->data[l->count];
    l->place[l->set[at].fd] = at;
}

/* Waits for at most `most` events; with poll there must be room for all, because nothing is kept
 * from one call to the next. Returns -1 for a signal. */
static inline int loop_wait(struct loop *l, struct epoll_event *events, int most, int timeout)
{
    int n = l->epoll >= 0 ? epoll_wait(l->epoll, events, most, timeout) : poll(l->set, l->count, timeout);
    if (n < 0 && errno != EINTR)
        must(n, l->epoll >= 0 ? "epoll_wait" : "poll");
    if (l->epoll >= 0 || n <= 0)
        return n;
    int found = 0;
    for (size_t i = 0; found < n && i < l->count; i++)
        if (l->set[i].revents) {
            if (found == most)
                die("poll reports more than there is room for");
            events[found++] = (struct epoll_event){.events = (uint16_t)l->set[i].revents, .data.u64 = l->data[i]};
        }
    return found;
}

#endif

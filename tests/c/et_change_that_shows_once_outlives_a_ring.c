/* A change that a file shows to one look only is reported once, although what follows it takes the
 * instance from a ring: an exclusive item, or a fork; or ends another instance's registration. */
#include "changes.h"

#include <sys/wait.h>

struct about {
    int ep, fd, item, other;
};

static void add_an_exclusive_item(const struct about *it)
{
    ADD(it->ep, it->item, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 2);
}

static void delete_from_the_other(const struct about *it)
{
    DEL(it->other, it->fd);
    wait_events(it->other, 0);
}

static void close_the_other(const struct about *it)
{
    OK(close(it->other));
}

static void fork_a_child(const struct about *it)
{
    (void)it;
    pid_t child = OK(fork());
    if (child == 0)
        _exit(0);
    OK(waitpid(child, NULL, 0));
}

static void try(const struct changing *file, int fd, void (*disturb)(const struct about *), bool is_before)
{
    uint32_t mask = EPOLLIN | (file->shown & EPOLLPRI) | EPOLLET, shown = reported(mask, file->shown);
    struct about it = {new_epoll(), fd, OK(eventfd(0, EFD_NONBLOCK)), new_epoll()};

    if (disturb == delete_from_the_other || disturb == close_the_other)
        ADD(it.other, fd, 0, 3);
    wait_events(it.other, 0);
    ADD(it.ep, fd, mask, 1);
    expect_one_or_none(it.ep, 1, reported(mask, file->always));
    for (int i = 0; i < 3; i++) {
        file->change();
        EXPECT_ONE(it.ep, 1, shown);
    }
    if (is_before)
        disturb(&it);
    file->change();
    if (!is_before)
        disturb(&it);
    EXPECT_ONE(it.ep, 1, shown);
    EXPECT_NONE_NOW(it.ep);
    file->change();
    EXPECT_ONE(it.ep, 1, shown);
    OK(close(it.ep));
    OK(close(it.item));
    if (disturb != close_the_other)
        OK(close(it.other));
}

void test(void)
{
    void (*const ways[])(const struct about *) = {
        add_an_exclusive_item, delete_from_the_other, close_the_other, fork_a_child};
    FOR_EACH_CHANGING(file, fd)
    {
        for (size_t i = 0; i < 2 * sizeof ways / sizeof *ways; i++)
            try(file, fd, ways[i / 2], i % 2 == 0);
        OK(close(fd));
    }
}

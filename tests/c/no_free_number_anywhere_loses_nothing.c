/* With every descriptor number in use, existing registrations of every kind, level- and
 * edge-triggered, are woken, modified, deleted, waited for by any thread, and reported, and no wait
 * costs processor time. epoll needs a number only for a new instance (C3). */
#include "faults.h"

#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/un.h>

#define LIMIT 600

static int ep, taken[LIMIT], n_taken;

static void *waits(void *arg)
{
    struct epoll_event event;
    CHECK_EQ(epoll_wait(*(int *)arg, &event, 1, BOUND_MS), 1);
    return (void *)(intptr_t)event.data.u64;
}

/* Wakes a waiting thread once, by what the function does. */
static void wakes(void (*act)(int), int fd, uint64_t data)
{
    struct thread thread;
    start_thread(&thread, waits, &ep);
    pause_ms(5);
    act(fd);
    CHECK_EQ((uint64_t)(intptr_t)join_thread(&thread), data);
}

static int other;
static void write_to_other(int fd) { (void)fd; write_bytes(other, 1); }
static void add_ready(int fd) { ADD(ep, fd, EPOLLIN, 50); }
static void make_ready(int fd) { MOD(ep, fd, EPOLLIN, 51); }
static void raise_signal(int fd) { (void)fd; OK(kill(getpid(), SIGUSR1)); }
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int client, clients[2];
static void connect_client(int fd) { (void)fd; OK(connect(client, (void *)&address, sizeof(sa_family_t) + 20)); }
static void connect_second(int fd) { (void)fd; OK(connect(clients[1], (void *)&address, sizeof(sa_family_t) + 20)); }

/* Unread data that cannot be counted without a number may be reported again, at growing intervals
 * (docs/differences.md). */
static void stays_nearly_silent(void)
{
    int spurious = 0;
    int64_t cpu = cpu_ns(), start = now_ns();
    while (now_ns() - start < 300000000)
        spurious += wait_events(ep, 100).n;
    CHECK(cpu_ns() - cpu < 100000000);
    CHECK(spurious < (on_the_kernel() ? 1 : 20));
}

void test(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    PT(pthread_sigmask(SIG_BLOCK, &set, NULL));
    int level[2], edge[2], ready[2], pair[2];
    make_pipe(level);
    make_pipe(edge);
    make_pipe(ready);
    make_pair(SOCK_DGRAM, pair);
    write_bytes(ready[1], 1);
    int signals = OK(signalfd(-1, &set, SFD_NONBLOCK));
    int counter = OK(eventfd(0, EFD_NONBLOCK));
    snprintf(address.sun_path + 1, 24, "faults-%012d", getpid());
    int listener = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    OK(bind(listener, (void *)&address, sizeof(sa_family_t) + 20));
    OK(listen(listener, 8));
    client = clients[0] = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    clients[1] = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    ep = new_epoll();
    n_taken = take_all_numbers(LIMIT, taken, LIMIT);
    CHECK_ERRNO(epoll_create1(0), EMFILE);

    ADD(ep, level[0], EPOLLIN, 1);
    /* With no item that the library must look at again. */
    wakes(add_ready, ready[0], 50);
    DEL(ep, ready[0]);
    ADD(ep, ready[0], 0, 51);
    wakes(make_ready, ready[0], 51);
    DEL(ep, ready[0]);
    ADD(ep, edge[0], EPOLLIN | EPOLLET, 2);
    ADD(ep, signals, EPOLLIN | EPOLLET, 4);
    ADD(ep, counter, EPOLLIN | EPOLLET, 5);
    ADD(ep, pair[0], EPOLLIN | EPOLLET, 6);

    other = level[1];
    wakes(write_to_other, 0, 1);
    CHECK_EQ(read_all(level[0]), 1);
    for (int i = 0; i < 3; i++) {
        /* Unread. */
        other = edge[1];
        wakes(write_to_other, 0, 2);
        other = pair[1];
        wakes(write_to_other, 0, 6);
        wakes(add_one, counter, 5);
    }
    CHECK_EQ(read_all(edge[0]), 3);
    wakes(add_ready, ready[0], 50);
    DEL(ep, ready[0]);
    ADD(ep, ready[0], 0, 51);
    wakes(make_ready, ready[0], 51);
    other = edge[1];
    MOD(ep, ready[0], 0, 51);
    wakes(write_to_other, 0, 2);
    CHECK_EQ(read_all(edge[0]), 1);
    wakes(raise_signal, 0, 4);
    stays_nearly_silent();
    DEL(ep, signals);
    ADD(ep, listener, EPOLLIN | EPOLLET, 3);
    wakes(connect_client, 0, 3);
    wakes(connect_second, 0, 3);
    stays_nearly_silent();
    DEL(ep, listener);

    /* A close reaches the peer although a thread waits on the item. */
    struct thread thread;
    start_thread(&thread, waits, &ep);
    pause_ms(5);
    OK(close(pair[0]));
    CHECK_ERRNO(write(pair[1], "", 1), ECONNREFUSED);
    int again = OK(dup(level[0]));
    ADD(ep, again, EPOLLIN, 7);
    OK(epoll_ctl(ep, EPOLL_CTL_DEL, level[0], NULL));
    write_bytes(level[1], 1);
    CHECK_EQ((intptr_t)join_thread(&thread), 7);

    CHECK_EQ(read_all(level[0]), 1);
    /* The program can use the free numbers again. */
    OK(close(again));
    for (int i = 0; i < n_taken; i++)
        OK(close(taken[i]));
    int number = OK(dup(0));
    CHECK(number <= taken[0] || number == again);
    other = edge[1];
    wakes(write_to_other, 0, 2);
}

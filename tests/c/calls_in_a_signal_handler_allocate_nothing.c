/* In a signal handler that interrupted malloc, read, write and close allocate and free nothing: on
 * watched descriptors, while threads wait for them. */
#include "harness.h"

static _Thread_local bool in_handler;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

static void count(void)
{
    if (in_handler) {
        in_handler = false;
        die(__FILE__, __LINE__, "memory is allocated or freed in a signal handler");
    }
}

void *malloc(size_t n) { return count(), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return count(), __libc_calloc(n, size); }
void *realloc(void *old, size_t n) { return count(), __libc_realloc(old, n); }
void free(void *old)
{
    if (old != NULL)
        count();
    __libc_free(old);
}

#define MANY 300
static int fd[2], bell, idle[MANY][2];

static void on_signal(int signal)
{
    (void)signal;
    uint64_t value = 1;
    in_handler = true;
    if (write(bell, &value, sizeof value) != 8 || write(fd[1], "x", 1) != 1 || read(fd[0], &value, 8) != 1 || close(fd[0]) != 0 || close(bell) != 0)
        _exit(3);
    for (int i = 0; i < MANY; i++)
        if (close(idle[i][0]) != 0)
            _exit(4);
    in_handler = false;
}

static void *waits(void *arg)
{
    struct events events;
    int ep = *(int *)arg;
    do
        events = wait_events(ep, -1);
    while (events.n != 1 || events.at[0].data.u64 != 9);
    return NULL;
}

void test(void)
{
    struct thread threads[3];
    int stop = OK(eventfd(0, 0)), ep[3];
    signal(SIGUSR1, on_signal);
    raise_descriptor_limit();
    make_pipe(fd);
    bell = OK(eventfd(0, EFD_NONBLOCK));
    for (int i = 0; i < MANY; i++)
        make_pipe(idle[i]);
    for (int i = 0; i < 3; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], stop, EPOLLIN, 9);
        ADD(ep[i], fd[0], EPOLLIN | EPOLLET, 1);
        ADD(ep[i], bell, EPOLLIN | EPOLLET, 2);
    }
    for (int i = 0; i < MANY; i++)
        ADD(ep[0], idle[i][0], EPOLLIN, 3);
    /* Long idle: when parked descriptors are closed, the watcher threads must not allocate
     * either. */
    for (int i = 0; i < 2000; i++) {
        add_one(bell);
        CHECK_EQ(wait_events(ep[0], BOUND_MS).n, 1);
    }
    for (int i = 0; i < 3; i++)
        start_thread(&threads[i], waits, &ep[i]);
    for (int i = 0; i < 3; i++)
        wait_until_blocked(threads[i].tid);
    OK(raise(SIGUSR1));
    add_one(stop);
    for (int i = 0; i < 3; i++)
        join_thread(&threads[i]);
    for (int i = 0; i < 3; i++) {
        DEL(ep[i], stop);
        EXPECT_NONE_NOW(ep[i]);
    }
}

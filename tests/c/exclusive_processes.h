/* Four processes, each with an instance of its own that watches one listener exclusively. For the
 * exclusive_processes_*.c tests. */
#include "harness.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define HERD 4

struct herd {
    atomic_int wakes;
    atomic_bool hold; /* a woken process does not accept yet */
    atomic_bool is_busy[HERD], is_to_be_busy[HERD];
    int listener, aside[HERD]; /* a byte in the pipe `aside` wakes one of them */
    pid_t pids[HERD];
};

/* Does something else, outside of a wait, if there is a byte in the pipe. */
static inline void be_busy(struct herd *herd, int i, int aside)
{
    char byte;
    if (read(aside, &byte, 1) != 1)
        return;
    atomic_store(&herd->is_busy[i], true);
    while (atomic_load(&herd->is_to_be_busy[i]))
        pause_ms(1);
    atomic_store(&herd->is_busy[i], false);
}

static inline void serve(struct herd *herd, int i, int aside, pid_t parent)
{
    OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
    if (getppid() != parent)
        _exit(1);
    int ep = new_epoll();
    ADD(ep, herd->listener, EPOLLIN | EPOLLEXCLUSIVE, 1);
    ADD(ep, aside, EPOLLIN, 2);
    for (;;) {
        struct epoll_event event;
        int n = epoll_wait(ep, &event, 1, -1);
        if (n < 0 && errno == EINTR)
            continue; /* it was stopped */
        CHECK_EQ(n, 1);
        if (event.data.u64 == 2) {
            be_busy(herd, i, aside);
            continue;
        }
        atomic_fetch_add(&herd->wakes, 1);
        while (atomic_load(&herd->hold))
            pause_ms(1);
        int fd = accept(herd->listener, NULL, NULL);
        if (fd >= 0)
            OK(close(fd));
    }
}

static inline void start_one(struct herd *herd, int i)
{
    int aside[2];
    make_pipe(aside);
    pid_t parent = getpid(), child = OK(fork());
    if (child == 0)
        serve(herd, i, aside[0], parent);
    OK(close(aside[0]));
    herd->aside[i] = aside[1];
    herd->pids[i] = child;
}

static inline void end_one(struct herd *herd, int i)
{
    OK(kill(herd->pids[i], SIGKILL));
    CHECK_EQ(OK(waitpid(herd->pids[i], NULL, 0)), herd->pids[i]);
    OK(close(herd->aside[i]));
}

static inline void wait_until_herd_is_blocked(struct herd *herd)
{
    for (int i = 0; i < HERD; i++)
        wait_until_blocked(herd->pids[i]);
}

static inline struct herd *start_herd(void)
{
    struct herd *herd = mmap(NULL, sizeof *herd, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(herd != MAP_FAILED);
    herd->listener = tcp_listener();
    for (int i = 0; i < HERD; i++)
        start_one(herd, i);
    wait_until_herd_is_blocked(herd);
    return herd;
}

static inline void stop_herd(struct herd *herd)
{
    for (int i = 0; i < HERD; i++)
        end_one(herd, i);
    OK(close(herd->listener));
    OK(munmap(herd, sizeof *herd));
}

/* Waits until a connection has been accepted and closed, or reset because its process ended. */
static inline void expect_answer(int client)
{
    struct pollfd p = {.fd = client, .events = POLLIN};
    CHECK_EQ(OK(poll(&p, 1, BOUND_MS)), 1);
    OK(close(client));
}

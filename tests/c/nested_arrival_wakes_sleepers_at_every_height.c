/* One to three instances inside each other, every link level- or edge-triggered or one-shot: an
 * arrival at the bottom wakes a thread that sleeps at any height, in a wait, in poll, ppoll, select
 * or pselect; so does a second one on top of the first (N1, N2). */
#include "harness.h"

#include <sys/select.h>

enum { HEIGHT = 3 };
enum call_of { IN_WAIT, IN_POLL, IN_PPOLL, IN_SELECT, IN_PSELECT, CALLS };
static const char *const names[] = {"epoll_wait", "poll", "ppoll", "select", "pselect"};

struct sleeper {
    struct thread thread;
    enum call_of call;
    int ep, result;
    uint64_t data;
};

static void *sleep_on(void *arg)
{
    struct sleeper *s = arg;
    struct epoll_event at[4];
    struct pollfd p = {.fd = s->ep, .events = POLLIN};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s->ep, &set);
    switch (s->call) {
    case IN_WAIT:
        s->result = epoll_wait(s->ep, at, 4, -1);
        s->data = at[0].data.u64;
        break;
    case IN_POLL:
        s->result = poll(&p, 1, -1);
        break;
    case IN_PPOLL:
        s->result = ppoll(&p, 1, NULL, NULL);
        break;
    case IN_SELECT:
        s->result = select(s->ep + 1, &set, NULL, NULL, NULL);
        break;
    default:
        s->result = pselect(s->ep + 1, &set, NULL, NULL, NULL, NULL);
        break;
    }
    return NULL;
}

static void run(int height, const uint32_t modes[HEIGHT], int at, enum call_of call)
{
    char what[96];
    snprintf(what, sizeof what, "%s at %d of %d, modes %#x %#x %#x", names[call], at, height, modes[0], modes[1], modes[2]);
    subject = what;
    int ep[HEIGHT], fd[2];
    make_pipe(fd);
    for (int i = 0; i < height; i++) {
        ep[i] = new_epoll();
        ADD(ep[i], i ? ep[i - 1] : fd[0], EPOLLIN | modes[i], i);
    }
    for (int round = 0; round < 2; round++) {
        struct sleeper s = {.call = call, .ep = ep[at]};
        start_thread(&s.thread, sleep_on, &s);
        wait_until_blocked(s.thread.tid);
        write_bytes(fd[1], 1);
        join_thread(&s.thread);
        CHECK_EQ(s.result, 1);
        if (call == IN_WAIT)
            CHECK_EQ(s.data, at);

        /* A second arrival, on top of the first, only where the first was reported as an edge and
         * to a wait. */
        if (call != IN_WAIT || modes[at] != EPOLLET)
            break;
        for (int i = 0; i < at; i++)
            if (modes[i] & EPOLLONESHOT)
                round = 2;
    }
    for (int i = 0; i < height; i++)
        OK(close(ep[i]));
    OK(close(fd[0]));
    OK(close(fd[1]));
}

void test(void)
{
    const uint32_t modes[] = {0, EPOLLET, EPOLLONESHOT};
    for (int height = 1; height <= HEIGHT; height++)
        for (int mix = 0; mix < (height == 1 ? 3 : height == 2 ? 9 : 27); mix++)
            for (int at = height == 3 ? 1 : 0; at < height; at++) {
                uint32_t chosen[HEIGHT] = {modes[mix % 3], modes[mix / 3 % 3], modes[mix / 9]};
                for (enum call_of call = 0; call < CALLS; call++)
                    /* The other calls differ from a wait only in their entry point, so one of them
                     * is enough for each mix. */
                    if (call == IN_WAIT || call == IN_POLL + (enum call_of)(mix % 4))
                        run(height, chosen, at, call);
            }
}

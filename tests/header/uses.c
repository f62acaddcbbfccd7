/* What tests/check-header compiles in every C it knows and in C++: the header in any order with <sys/epoll.h> and more than once, every
 * structure as it has to lie in memory, and every name used as documented. Nothing of it is run.
 *
 * ORDER is 1 to have <sys/epoll.h> before the header, 2 to have it behind, and otherwise there is the header alone. */
#if ORDER == 1
#include <sys/epoll.h>
#endif
#include <epolyfill.h>
#if ORDER == 2
#include <sys/epoll.h>
#endif
#include <epolyfill.h>

#if defined __cplusplus
#define SAME(a, b) static_assert(a == b, #a " is not " #b)
#define SAME_TYPE(a, b) static_assert(true, "C has seen to it")
#else
/* Also for C99, which has no assertion of its own: an array of fewer than no elements. */
#define JOINED(a, b) a##b
#define NAMED(line) JOINED(assertion_, line)
#define HOLDS(cond) extern const char NAMED(__LINE__)[(cond) ? 1 : -1]
#define SAME(a, b) HOLDS((a) == (b))
#define SAME_TYPE(a, b) HOLDS(__builtin_types_compatible_p(__typeof__(a), __typeof__(b)))
#endif

#if !defined EPOLYFILL_VERSION || !defined EPOLYFILL_VIEW_MAX
#error "a macro is missing"
#endif
#if EPOLYFILL_VERSION_MAJOR * 10000 + EPOLYFILL_VERSION_MINOR * 100 + EPOLYFILL_VERSION_PATCH < 100
#error "the version is older than 0.1.0"
#endif

/* The kernel's structure is packed on x86_64 alone. */
#if defined __x86_64__
SAME(sizeof(struct epoll_event), 12);
SAME(offsetof(struct epoll_event, data), 4);
SAME(offsetof(struct epolyfill_op, error), 20);
SAME(sizeof(struct epolyfill_op), 24);
#else
SAME(sizeof(struct epoll_event), 16);
SAME(offsetof(struct epoll_event, data), 8);
SAME(offsetof(struct epolyfill_op, error), 24);
SAME(sizeof(struct epolyfill_op), 32);
#endif
SAME(offsetof(struct epoll_event, events), 0);
SAME(sizeof(((struct epoll_event *)0)->data), 8);
SAME(sizeof(struct epolyfill_stats) % 8, 0);
SAME(offsetof(struct epolyfill_op, op), 0);
SAME(offsetof(struct epolyfill_op, fd), 4);
SAME(offsetof(struct epolyfill_op, event), 8);

/* The names that stand for epoll's are of epoll's types. */
SAME_TYPE(epolyfill_create1, epoll_create1);
SAME_TYPE(epolyfill_ctl, epoll_ctl);
SAME_TYPE(epolyfill_wait, epoll_wait);
SAME_TYPE(epolyfill_pwait, epoll_pwait);
SAME_TYPE(epolyfill_pwait2, epoll_pwait2);
SAME_TYPE(epolyfill_close, epoll_create);

static int events_seen;

static void on_events(const struct epoll_event *events, int n, void *user)
{
    if (events[n - 1].data.ptr == user)
        events_seen += n;
}

int use(int fd);
int use(int fd)
{
    static struct epolyfill_op ops[2];
    struct epoll_event event, events[4];
    const struct epoll_event *view;
    struct epolyfill_stats stats;
    struct timespec limit;
    sigset_t mask;
    const char *version = epolyfill_version();
    epolyfill_callback callback = on_events;
    int ep = epolyfill_create1(EPOLL_CLOEXEC), source, n = version[0] + EPOLYFILL_VERSION[0];
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = fd;
    limit.tv_sec = 1;
    limit.tv_nsec = 0;
    sigemptyset(&mask);
    ops[0].op = EPOLL_CTL_DEL;
    ops[0].fd = fd;
    ops[1].op = EPOLL_CTL_ADD;
    ops[1].fd = fd;
    ops[1].event = event;
    n += epolyfill_ctl(ep, EPOLL_CTL_ADD, fd, &event);
    n += epolyfill_ctl_batch(ep, ops, sizeof ops / sizeof ops[0]) + ops[0].error;
    n += epolyfill_wait(ep, events, 4, 0);
    n += epolyfill_pwait(ep, events, 4, -1, &mask);
    n += epolyfill_pwait2(ep, events, 4, &limit, &mask);
    n += epolyfill_wait_view(ep, &view, EPOLYFILL_VIEW_MAX, 10) + view[0].data.fd;
    n += epolyfill_set_callback(ep, callback, &ops);
    n += epolyfill_dispatch(ep, 0);
    source = epolyfill_source_new(EPOLL_CLOEXEC);
    n += epolyfill_source_post(source, EPOLLIN | EPOLLHUP) + epolyfill_source_clear(source, EPOLLHUP);
    n += epolyfill_stats(-1, &stats, sizeof stats) + (int)(stats.waits + stats.parked);
    n += epolyfill_source_events(source) + epolyfill_source_close(source);
    n += epolyfill_stats(ep, &stats, sizeof stats) + (int)stats.parked;
    return n + epolyfill_close(ep) + events_seen;
}

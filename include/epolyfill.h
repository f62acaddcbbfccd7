/*
 * epolyfill: Linux epoll on top of poll(2).
 *
 * A program that links libepolyfill.so, or runs with it in LD_PRELOAD, calls epoll by the names of <sys/epoll.h>. This
 * header declares the functions that epolyfill adds. libepolyfill-side.so exports only the functions of this header, for
 * use beside the kernel's epoll.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 * Generated from src/capi; do not edit.
 */

#ifndef EPOLYFILL_H
#define EPOLYFILL_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

/* The version of this header. */
#define EPOLYFILL_VERSION "0.4.0"
#define EPOLYFILL_VERSION_MAJOR 0
#define EPOLYFILL_VERSION_MINOR 4
#define EPOLYFILL_VERSION_PATCH 0

/*
 How many events `epolyfill_wait_view` reports at most.
 */
#define EPOLYFILL_VIEW_MAX 1024

/*
 One control call of a batch.
 */
struct epolyfill_op {
  /*
   EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL.
   */
  int op;
  /*
   The descriptor.
   */
  int fd;
  /*
   What is registered; ignored by EPOLL_CTL_DEL.
   */
  struct epoll_event event;
  /*
   What came of it: 0, or the errno that `epolyfill_ctl` would have set.
   */
  int error;
};

/*
 A function that is called with `n` events, at least one, which are the callee's until it returns; `user` is what was given with it. It must
 return: leaving it by `longjmp`, by an exception or by `pthread_exit` is not allowed.
 */
typedef void (*epolyfill_callback)(const struct epoll_event *events, int n, void *user);

/*
 What an instance did since it was made, as counters, and what it has now. In an event loop that is well few of the counters grow
 but for work done: what each says when it grows is written beside it.

 Later versions of the library add fields at the end, and take none away.
 */
struct epolyfill_stats {
  /*
   Control calls that succeeded.
   */
  uint64_t controls;
  /*
   Control calls that failed on this instance (ENOENT, EEXIST and the like): the program's notion of what is registered is wrong.
   */
  uint64_t controls_refused;
  /*
   Registrations that ended with the last descriptor of their open file, and not by EPOLL_CTL_DEL.
   */
  uint64_t closed;
  /*
   Of those, the ones whose descriptor was closed, or exchanged for another file, by a call that the library did not see.
   */
  uint64_t vanished;
  /*
   Waits that began.
   */
  uint64_t waits;
  /*
   Waits that ended without an event, because their time was up. Where the timeout is 0 the loop polls instead of sleeping.
   */
  uint64_t timeouts;
  /*
   Waits that a signal handler ended (EINTR).
   */
  uint64_t interrupted;
  /*
   Events reported. When it grows as fast as `waits`, and `sleeps` does not grow, something is ready all the time: a level that nobody
   takes away, such as EPOLLOUT without anything to write.
   */
  uint64_t events;
  /*
   Of those, edges (EPOLLET) that came after the level had been low: the descriptor had been drained, or had no room.
   */
  uint64_t edges_level;
  /*
   Edges that came while the level was high, found because more has arrived in all than at the last report: what was reported before is
   not drained.
   */
  uint64_t edges_count;
  /*
   Edges that came while the level was high, shown by a call of this process, such as a second write to an eventfd that nobody reads.
   */
  uint64_t edges_call;
  /*
   Reports of what is unread and cannot be counted: there may have been an edge, or none. These are the spurious ones.
   */
  uint64_t edges_doubted;
  /*
   Edges that the kernel told of by io_uring.
   */
  uint64_t edges_ring;
  /*
   Registrations put on the ready list.
   */
  uint64_t enqueues;
  /*
   Those that were on it already when `poll` found them ready: level-triggered registrations, most of all, that were reported and are ready
   still.
   */
  uint64_t duplicates;
  /*
   Those that left the ready list unreported: deleted, no longer ready, or no edge. One for each level-triggered event that was dealt
   with is as it should be.
   */
  uint64_t stale;
  /*
   Looks at all that is polled, by `poll`, with a sleep or without.
   */
  uint64_t polls;
  /*
   Descriptors in those looks, all told. Divided by `polls` it is what each costs.
   */
  uint64_t scanned;
  /*
   Sleeps of waiting threads.
   */
  uint64_t sleeps;
  /*
   Sleeps that ended before the time was up, and the wait went on, for there was nothing to report.
   */
  uint64_t empty_wakeups;
  /*
   Sleeps that were ended by another thread: it changed a registration, closed a descriptor, left the wait to the next one.
   */
  uint64_t kicks;
  /*
   Waits that left the instance to another thread that was waiting on it, which was woken for that.
   */
  uint64_t handoffs;
  /*
   Counts of arrivals that were taken because something edge-triggered was reported and might hide more. That this grows in a wait that
   sleeps says that a descriptor was not drained: until it is the waiting thread wakes some 20 times a second.
   */
  uint64_t samples;
  /*
   Registrations that were given to a watcher thread, because they were silent for long.
   */
  uint64_t parks;
  /*
   Those that a watcher found ready, and gave back.
   */
  uint64_t unparks;
  /*
   Times that the instance got a ring of io_uring.
   */
  uint64_t rings;
  /*
   Times that it gave one up, and was polled from then on.
   */
  uint64_t rings_left;
  /*
   Completions taken from it.
   */
  uint64_t completions;
  /*
   Now: registrations.
   */
  uint64_t registrations;
  /*
   Now: on the ready list. A level-triggered registration stays there until a wait finds it no longer ready.
   */
  uint64_t ready;
  /*
   Now: threads in a wait.
   */
  uint64_t waiters;
  /*
   Now: registrations with a watcher thread.
   */
  uint64_t parked;
};

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/*
 The version of the library that is loaded, as `"MAJOR.MINOR.PATCH"`.

 The string is static. To learn at build time which version the header is of, use `EPOLYFILL_VERSION`. That the dynamic
 linker finds this symbol in a process is the sign that epolyfill serves it.
 */
const char *epolyfill_version(void);

/*
 Creates an instance, as epoll_create1(2) does.

 `flags` is 0 or EPOLL_CLOEXEC. Returns the instance's descriptor, or -1 with errno EINVAL (another flag), EMFILE or ENFILE (no free
 number; for a moment it takes two), ENOMEM (or in a signal handler that interrupted this library).
 */
int epolyfill_create1(int flags);

/*
 Adds, changes or deletes a registration, as epoll_ctl(2) does.

 `op` is EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL; EPOLL_CTL_DEL ignores `event`, which may be NULL then. Returns 0, or -1 with errno
 EBADF (`epfd` or `fd` is not open), EEXIST, EFAULT (`event`), EINVAL (`epfd` is no instance of epolyfill's, or is `fd`; an unknown `op`;
 EPOLLEXCLUSIVE where it cannot be), ELOOP (instances in a circle, or more than five deep), ENOENT, ENOMEM, ENOSPC (too many registrations),
 EPERM (`fd` is of a file that cannot be polled).

 # Safety
 `event` must be NULL, outside user space, or readable.
 */
int epolyfill_ctl(int epfd,
                  int op,
                  int fd,
                  struct epoll_event *event);

/*
 Waits for events, as epoll_wait(2) does.

 At most `maxevents` are written to `events`. `timeout` is in milliseconds: 0 only looks, -1 waits for ever. Returns the number of
 events, 0 when the time is over, or -1 with errno EBADF, EFAULT (`events`), EINTR (a signal handler ran), EINVAL (`epfd` is no instance of
 epolyfill's, or `maxevents` is not positive), ENOMEM (for what a thread beyond 32 that wait needs; nothing was waited for). A cancellation
 point.

 # Safety
 `events` must be NULL, outside user space, or writable for `maxevents` events.
 */
int epolyfill_wait(int epfd,
                   struct epoll_event *events,
                   int maxevents,
                   int timeout);

/*
 Waits for events with another signal mask, as epoll_pwait(2) does.

 `sigmask` is the signal mask during the wait; NULL leaves it as it is. Everything else is as in `epolyfill_wait`.

 # Safety
 As for `epolyfill_wait`; `sigmask` must be NULL, outside user space, or readable.
 */
int epolyfill_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t *sigmask);

/*
 Waits for events with a time limit in nanoseconds, as epoll_pwait2(2) does.

 `timeout` is NULL for no limit; one that is negative, or has 10^9 nanoseconds or more, is EINVAL. Everything else is as in
 `epolyfill_pwait`.

 # Safety
 As for `epolyfill_pwait`; `timeout` must be NULL, outside user space, or readable.
 */
int epolyfill_pwait2(int epfd,
                     struct epoll_event *events,
                     int maxevents,
                     const struct timespec *timeout,
                     const sigset_t *sigmask);

/*
 Closes a descriptor, an instance's or any other, as close(2) does: with the last descriptor of an open file its registrations end.

 Returns 0, or -1 with errno EBADF, EINTR or EIO. A thread that waits on the instance goes on waiting, as on Linux.
 */
int epolyfill_close(int fd);

/*
 Makes `n` control calls in the order of the array, each with a result of its own.

 One that fails leaves the others alone; its errno is in its `error`, which is 0 for those that succeed. Returns how many succeeded, or,
 when none was made, -1 with errno EBADF, EINVAL (`epfd` is no instance of epolyfill's; more than INT_MAX calls), EFAULT (`ops`) or ENOMEM (in
 a signal handler that interrupted this library).

 # Safety
 `ops` must be NULL, outside user space, or readable and writable for `n` entries.
 */
int epolyfill_ctl_batch(int epfd,
                        struct epolyfill_op *ops,
                        size_t n);

/*
 Waits for events and points at them, instead of copying them to an array of the program's.

 `*events` is the first of as many events as the call returns, in memory of the instance. They stay as they are during the next such
 wait on the instance, which fills another array, and until the one after that begins; and no longer than until the instance is closed. At
 most `maxevents` are reported, and at most EPOLYFILL_VIEW_MAX. `timeout` is in milliseconds: 0 only looks, -1 waits for ever.

 Returns the number of events, 0 when the time is over, or -1 with errno EBADF, EFAULT (`events`), EINTR (a signal handler ran), EINVAL
 (`epfd` is no instance of epolyfill's, or `maxevents` is not positive), ENOMEM (before anything is waited for). A cancellation point.
 One thread at a time may wait for a view of one instance, and may do so while another goes through the events of the wait before; other waits,
 in any thread, do not disturb it.

 # Safety
 `events` must be NULL, outside user space, or writable.
 */
int epolyfill_wait_view(int epfd,
                        const struct epoll_event **events,
                        int maxevents,
                        int timeout);

/*
 Has a function called with the events of an instance, from a thread of the instance's own, as they come.

 It is one more waiter on the instance: level-triggered registrations are reported again while they stay ready, edge-triggered and
 one-shot ones as they were registered, and threads that wait as well take other events than it does. At most 64 come in one call, and one call is
 over before that thread makes the next. The thread is called `epolyfill-call`, and has all signals blocked.

 An instance has one callback at most: another one takes its place, and NULL as `function` removes it. When this returns no call of the
 earlier one is running, and none will be made, with one exception: called from within a callback of the instance it waits for nothing, and
 calls that run at that moment, the caller's own above all, may return later. What the thread had taken by then is not lost: the
 new callback gets it, and if there is none the removed one, before this returns. Closing the instance removes its callback, without waiting.
 A forked child has no callbacks. A callback that sets or removes that of another instance waits for that one's calls as anybody does, so two
 must not do so to each other.

 Returns 0, or -1 with errno EBADF, EINVAL (`epfd` is no instance of epolyfill's), EAGAIN (no thread can be had; the callback is the earlier one),
 ENOMEM (in a signal handler that interrupted this library).

 # Safety
 `function` must be NULL or such a function, good for being called with `user` until it is removed.
 */
int epolyfill_set_callback(int epfd,
                           epolyfill_callback function,
                           void *user);

/*
 Waits for events in the calling thread and calls the callback of the instance with them, once at most.

 For programs that want their callback on threads of their own. From the first such call on the instance has no dispatch thread, until
 `epolyfill_set_callback` is called again: that call waits, whatever the timeout, until the thread is out of the callback. Several threads may
 dispatch at once; then the callback is called by several. `timeout` is in milliseconds: 0 only looks, -1 waits for ever.

 Returns the number of events that the callback was called with, 0 when the time is over, or -1 with errno EBADF, ECANCELED (the callback was
 removed, or the instance closed, meanwhile), EINTR (a signal handler ran), EINVAL (`epfd` is no instance of epolyfill's, or it has no callback),
 ENOMEM (as for `epolyfill_wait`). Not a cancellation point; it must not be left by `siglongjmp`.
 */
int epolyfill_dispatch(int epfd,
                       int timeout);

/*
 Makes a source: a descriptor whose readiness the program itself posts, to be added to instances beside descriptors of any other kind.

 It stands for whatever the kernel does not know of: a queue in memory, a fence, a connection of a network stack of the program's own. Instances of
 epolyfill's take it with every mask, level- and edge-triggered, one-shot and exclusive, in threads and in instances inside others. It is a
 descriptor: it can be duplicated, and it is closed by close(2) as well as by `epolyfill_source_close`. It cannot be read or written. To
 whoever polls it otherwise, by poll(2) or the kernel's epoll, it is readable while EPOLLIN is posted, and always writable.
 A forked child has a copy: what the one posts from then on the other does not see.

 `flags` is 0 or EPOLL_CLOEXEC. Returns the descriptor, or -1 with errno EINVAL (another flag), EMFILE or ENFILE (no free number), ENOSPC (a
 number beyond those that can be watched), ENOMEM (or in a signal handler that interrupted this library).
 */
int epolyfill_source_new(int flags);

/*
 Posts events on a source: they are its level until they are cleared, and this wakes who waits for any of them.

 `events` is one or more of EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP and EPOLLERR. Each call is an edge, also of what is posted
 already: an edge-triggered registration that asks for one of these events, or for none if it is EPOLLERR or EPOLLHUP, is reported once more, with all
 that is posted of its mask. A level-triggered one is reported as long as there is something.
 May be called by any thread, and in signal handlers.

 Returns 0, or -1 with errno EBADF or EINVAL (`source` is no source; no event, or another one).
 */
int epolyfill_source_post(int source,
                          uint32_t events);

/*
 Takes events off a source, that were posted or not. What was not reported by then is not.

 `events`, results and errno are those of `epolyfill_source_post`. May be called by any thread, and in signal handlers.
 */
int epolyfill_source_clear(int source, uint32_t events);

/*
 The events that are posted on a source at present.

 Returns them, 0 for none, or -1 with errno EBADF or EINVAL (`source` is no source). May be called by any thread, and in signal handlers.
 */
int epolyfill_source_events(int source);

/*
 Closes a source, as close(2) does: with its last descriptor its registrations end.

 A post in another thread at this moment is one before it, or finds the number closed; whatever is opened under it next is left alone.

 Returns 0, or -1 with errno EBADF or EINVAL (`source` is no source, and stays open).
 */
int epolyfill_source_close(int source);

/*
 Reads the counters of an instance; with `epfd` -1 those of all instances that the process has or had, added up.

 `size` is `sizeof *stats`, by which a program and a library of different versions understand each other, as with sched_getattr(2): of a
 library that knows more than `size` bytes the program gets the first `size`, and one that knows less fills the rest with zeros. Returns
 how many bytes the library knows, or -1 with errno EINVAL (`size` is smaller than the structure of version 0.2, or larger than 4096;
 `epfd` is no instance of epolyfill's), EBADF, EFAULT (`stats`: any address that cannot be written to), EBUSY (in a signal handler that
 interrupted the library). The checks are made in this order, and where one fails nothing is written.

 Counters are always on. They are of one moment, but for those of the process, which are read one instance after the other. A forked child
 has a copy. They start at 0 with each instance and never go back; what cannot be told apart from another instance's is not in them.

 # Safety
 `stats` may be any address at which the program expects `size` bytes to be written.
 */
int epolyfill_stats(int epfd,
                    struct epolyfill_stats *stats,
                    size_t size);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* EPOLYFILL_H */

/*
 * epolyfill: Linux epoll on top of poll(2).
 *
 * A program that links with libepolyfill.so, or runs with it in LD_PRELOAD, calls epoll by the names
 * of <sys/epoll.h>. This header declares the functions that epolyfill adds. libepolyfill-side.so
 * exports only the functions of this header, for use beside the kernel's epoll.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 * Generated from src/abi/capi; do not edit.
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
 The largest number of events that `epolyfill_wait_view` reports.
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
   The events and the data; EPOLL_CTL_DEL ignores it.
   */
  struct epoll_event event;
  /*
   The result: 0, or the errno that `epolyfill_ctl` would have set.
   */
  int error;
};

/*
 A function that is called with `n` events, at least one, which it owns until it returns, and
 with the `user` pointer that was registered with it. It must return: leaving it by `longjmp`, by
 an exception or by `pthread_exit` is not allowed.
 */
typedef void (*epolyfill_callback)(const struct epoll_event *events, int n, void *user);

/*
 Counters of an instance since it was made, and its present state. In a healthy event loop few of
 the counters grow except those of work done; the comment of each field says what its growth
 means.

 Later versions of the library add fields at the end, and remove none.
 */
struct epolyfill_stats {
  /*
   Control calls that succeeded.
   */
  uint64_t controls;
  /*
   Control calls that failed on this instance (ENOENT, EEXIST and the like): the program's
   record of its registrations is wrong.
   */
  uint64_t controls_refused;
  /*
   Registrations that ended with the last descriptor of their open file, and not by
   EPOLL_CTL_DEL.
   */
  uint64_t closed;
  /*
   Registrations among these whose descriptor was closed, or replaced by another file, by a
   call that the library did not see.
   */
  uint64_t vanished;
  /*
   Waits that began.
   */
  uint64_t waits;
  /*
   Waits that ended without an event, because their time was up. With a timeout of 0 the loop
   polls instead of sleeping.
   */
  uint64_t timeouts;
  /*
   Waits that a signal handler ended (EINTR).
   */
  uint64_t interrupted;
  /*
   Events reported. If it grows as fast as `waits`, and `sleeps` does not grow, a descriptor is
   ready all the time: a level that the program does not clear, such as EPOLLOUT without data
   to write.
   */
  uint64_t events;
  /*
   Edges (EPOLLET) among these events that came after the level had been low: the descriptor
   had been drained, or had no room.
   */
  uint64_t edges_level;
  /*
   Edges that came while the level was high, found because more has arrived in total than at
   the last report: the reported data is not drained.
   */
  uint64_t edges_count;
  /*
   Edges that came while the level was high, shown by a call of this process, such as a second
   write to an eventfd that is not read.
   */
  uint64_t edges_call;
  /*
   Reports of unread descriptors that cannot be counted: there may have been an edge, or none.
   These are the spurious ones.
   */
  uint64_t edges_doubted;
  /*
   Edges that the kernel reported through io_uring.
   */
  uint64_t edges_ring;
  /*
   Registrations put on the ready list.
   */
  uint64_t enqueues;
  /*
   Registrations that were on the ready list already when `poll` found them ready: mostly
   level-triggered ones that were reported and are still ready.
   */
  uint64_t duplicates;
  /*
   Registrations that left the ready list unreported: deleted, no longer ready, or without an
   edge. One for each handled level-triggered event is normal.
   */
  uint64_t stale;
  /*
   Calls of `poll` over the poll set, with or without a sleep.
   */
  uint64_t polls;
  /*
   Descriptors in those calls, in total. Divided by `polls` it is the cost of a call.
   */
  uint64_t scanned;
  /*
   Sleeps of waiting threads.
   */
  uint64_t sleeps;
  /*
   Sleeps that ended before the time was up with nothing to report, so that the wait continued.
   */
  uint64_t empty_wakeups;
  /*
   Sleeps that another thread ended: it changed a registration, closed a descriptor, or handed
   the wait over.
   */
  uint64_t kicks;
  /*
   Waits that handed the instance over to another waiting thread, and woke it for that.
   */
  uint64_t handoffs;
  /*
   Counts of arrivals that were taken because a reported edge-triggered registration might hide
   more. If this grows in a wait that sleeps, a descriptor was not drained: until it is, the
   waiting thread wakes some 20 times a second.
   */
  uint64_t samples;
  /*
   Registrations that were handed to a watcher thread, because they had been silent for long.
   */
  uint64_t parks;
  /*
   Registrations that a watcher found ready, and handed back.
   */
  uint64_t unparks;
  /*
   Times that the instance got a ring of io_uring.
   */
  uint64_t rings;
  /*
   Times that it gave one up, and returned to poll.
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
   Now: registrations on the ready list. A level-triggered registration stays there until a
   wait finds it no longer ready.
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

 The string is static. `EPOLYFILL_VERSION` is the version of the header at build time. epolyfill
 serves a process if the dynamic linker finds this symbol in it.
 */
const char *epolyfill_version(void);

/*
 Creates an instance, as epoll_create1(2) does.

 `flags` is 0 or EPOLL_CLOEXEC. Returns the instance's descriptor, or -1 with errno EINVAL
 (another flag), EMFILE or ENFILE (no free number; the call takes two for a moment), ENOMEM (also
 in a signal handler that interrupted this library).
 */
int epolyfill_create1(int flags);

/*
 Adds, changes or deletes a registration, as epoll_ctl(2) does.

 `op` is EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL; EPOLL_CTL_DEL ignores `event`, which may
 then be NULL. Returns 0, or -1 with errno EBADF (`epfd` or `fd` is not open), EEXIST, EFAULT
 (`event`), EINVAL (`epfd` is not an instance of epolyfill, or is `fd`; an unknown `op`; an
 invalid use of EPOLLEXCLUSIVE), ELOOP (a cycle of instances, or more than five levels), ENOENT,
 ENOMEM, ENOSPC (too many registrations), EPERM (`fd` cannot be polled).

 # Safety
 `event` must be NULL, outside user space, or readable.
 */
int epolyfill_ctl(int epfd, int op, int fd, struct epoll_event *event);

/*
 Waits for events, as epoll_wait(2) does.

 At most `maxevents` are written to `events`. `timeout` is in milliseconds: 0 does not sleep, -1
 never expires. Returns the number of events, 0 when the time is over, or -1 with errno EBADF,
 EFAULT (`events`), EINTR (a signal handler ran), EINVAL (`epfd` is not an instance of epolyfill,
 or `maxevents` is not positive), ENOMEM (no memory for the record that a thread needs when more
 than 32 wait; the call did not wait). It is a cancellation point.

 # Safety
 `events` must be NULL, outside user space, or writable for `maxevents` events.
 */
int epolyfill_wait(int epfd, struct epoll_event *events, int maxevents, int timeout);

/*
 Waits for events with another signal mask, as epoll_pwait(2) does.

 `sigmask` is the signal mask during the wait; NULL leaves the mask unchanged. Everything else is
 as in `epolyfill_wait`.

 # Safety
 As for `epolyfill_wait`; `sigmask` must be NULL, outside user space, or readable.
 */
int epolyfill_pwait(int epfd,
                    struct epoll_event *events,
                    int maxevents,
                    int timeout,
                    const sigset_t *sigmask);

/*
 Waits for events with a time limit in nanoseconds, as epoll_pwait2(2) does.

 A `timeout` of NULL never expires; one that is negative, or has 10^9 nanoseconds or more, is
 EINVAL. Everything else is as in `epolyfill_pwait`.

 # Safety
 As for `epolyfill_pwait`; `timeout` must be NULL, outside user space, or readable.
 */
int epolyfill_pwait2(int epfd,
                     struct epoll_event *events,
                     int maxevents,
                     const struct timespec *timeout,
                     const sigset_t *sigmask);

/*
 Closes a descriptor, an instance's or any other, as close(2) does. The registrations of an open
 file end with its last descriptor.

 Returns 0, or -1 with errno EBADF, EINTR or EIO. A thread that waits on the instance continues
 to wait, as on Linux.
 */
int epolyfill_close(int fd);

/*
 Makes `n` control calls in the order of the array, each with a result of its own.

 A call that fails does not affect the others: its `error` is its errno, and 0 for a call that
 succeeds. Returns the number of calls that succeeded or, if none was made, -1 with errno EBADF,
 EINVAL (`epfd` is not an instance of epolyfill; `n` is larger than INT_MAX), EFAULT (`ops`) or
 ENOMEM (in a signal handler that interrupted this library).

 # Safety
 `ops` must be NULL, outside user space, or readable and writable for `n` entries.
 */
int epolyfill_ctl_batch(int epfd, struct epolyfill_op *ops, size_t n);

/*
 Waits for events and returns a pointer to them, instead of copying them to an array of the
 program.

 `*events` points to the first of the events, in memory of the instance. They stay unchanged
 during the next such wait on the instance, which fills another array, until the one after that
 begins or the instance is closed. At most `maxevents` are reported, and at most
 EPOLYFILL_VIEW_MAX. `timeout` is in milliseconds: 0 does not sleep, -1 never expires.

 Returns the number of events, 0 when the time is over, or -1 with errno EBADF, EFAULT
 (`events`), EINTR (a signal handler ran), EINVAL (`epfd` is not an instance of epolyfill, or
 `maxevents` is not positive), ENOMEM (before the wait). It is a cancellation point. Only one
 thread at a time may wait for a view of one instance, and may do so while another thread uses
 the events of the wait before; other waits, in any thread, do not disturb it.

 # Safety
 `events` must be NULL, outside user space, or writable.
 */
int epolyfill_wait_view(int epfd, const struct epoll_event **events, int maxevents, int timeout);

/*
 Calls a function with the events of an instance as they come, on a thread of the instance.

 The callback is one more waiter on the instance: level-triggered registrations are reported
 again while they stay ready, edge-triggered and one-shot ones as they were registered, and an
 event goes either to the callback or to a thread that waits. One call has at most 64 events, and
 returns before the thread makes the next. The thread is named `epolyfill-call`, and has all
 signals blocked.

 An instance has one callback at most: a new one replaces it, and NULL as `function` removes it.
 When this function returns, no call of the earlier callback is running and none will be made.
 The exception is a caller inside a callback of the instance: it waits for nothing, and calls
 that run at that moment, in the first place the caller's own, may return later. No event that
 the thread had taken is lost: before this function returns, it goes to the new callback or, if
 there is none, to the removed one. Closing the instance removes its callback without waiting. A
 forked child has no callbacks. A callback that sets or removes the callback of another instance
 waits for the calls of that one, so two callbacks must not do this to each other.

 Returns 0, or -1 with errno EBADF, EINVAL (`epfd` is not an instance of epolyfill), EAGAIN (no
 thread could be started; the earlier callback stays), ENOMEM (in a signal handler that
 interrupted this library).

 # Safety
 `function` must be NULL or such a function, valid for calls with `user` until it is removed.
 */
int epolyfill_set_callback(int epfd, epolyfill_callback function, void *user);

/*
 Waits for events in the calling thread and calls the callback of the instance with them, at most
 once.

 It is for programs that run their callback on threads of their own. The first such call ends the
 instance's thread, until `epolyfill_set_callback` is called again: that first call waits,
 whatever the timeout, until the thread has left the callback. Several threads may dispatch at
 once; the callback is then called by several. `timeout` is in milliseconds: 0 does not sleep, -1
 never expires.

 Returns the number of events that the callback was called with, 0 when the time is over, or -1
 with errno EBADF, ECANCELED (the callback was removed, or the instance closed, meanwhile), EINTR
 (a signal handler ran), EINVAL (`epfd` is not an instance of epolyfill, or has no callback),
 ENOMEM (as for `epolyfill_wait`). It is not a cancellation point, and must not be left by
 `siglongjmp`.
 */
int epolyfill_dispatch(int epfd, int timeout);

/*
 Makes a source: a descriptor whose readiness the program posts, to be added to instances beside
 other descriptors.

 A source represents an object that the kernel does not know: a queue in memory, a fence, a
 connection of the program's own network stack. Instances of epolyfill accept it with every mask,
 level- and edge-triggered, one-shot and exclusive, in threads and in nested instances. It is a
 descriptor: it can be duplicated, and both close(2) and `epolyfill_source_close` close it. It
 cannot be read or written. To a program that polls it without epolyfill, by poll(2) or the
 kernel's epoll, it is readable while EPOLLIN is posted, and always writable. A forked child has
 a copy: later posts of one process are not visible in the other.

 `flags` is 0 or EPOLL_CLOEXEC. Returns the descriptor, or -1 with errno EINVAL (another flag),
 EMFILE or ENFILE (no free number), ENOSPC (a number beyond those that can be watched), ENOMEM
 (also in a signal handler that interrupted this library).
 */
int epolyfill_source_new(int flags);

/*
 Posts events on a source: they are its level until they are cleared. Wakes the threads that wait
 for any of them.

 `events` is one or more of EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP and EPOLLERR. Each
 call is an edge, even if the events are posted already: an edge-triggered registration whose
 mask has one of these events (every mask has EPOLLERR and EPOLLHUP) is reported once more, with
 all posted events of its mask. A level-triggered one is reported as long as an event is posted.
 Any thread may call it, and so may signal handlers.

 Returns 0, or -1 with errno EBADF or EINVAL (`source` is not a source; `events` is 0 or has
 another event).
 */
int epolyfill_source_post(int source, uint32_t events);

/*
 Clears events of a source, whether they are posted or not. An event that is cleared before it
 was reported is not reported.

 `events`, results and errno are those of `epolyfill_source_post`. Any thread may call it, and so
 may signal handlers.
 */
int epolyfill_source_clear(int source, uint32_t events);

/*
 The events that are posted on a source at present.

 Returns them, 0 for none, or -1 with errno EBADF or EINVAL (`source` is not a source). Any
 thread may call it, and so may signal handlers.
 */
int epolyfill_source_events(int source);

/*
 Closes a source, as close(2) does: its registrations end with its last descriptor.

 A post in another thread at this moment either comes before the close or fails; it never affects
 a file that is opened under the number later.

 Returns 0, or -1 with errno EBADF or EINVAL (`source` is not a source, and stays open).
 */
int epolyfill_source_close(int source);

/*
 Reads the counters of an instance; with `epfd` -1 the sums over all instances that the process
 has or had.

 `size` is `sizeof *stats`, which lets a program and a library of different versions work
 together, as in sched_getattr(2): if the library has more than `size` bytes the program gets the
 first `size`, and if it has fewer it fills the rest with zeros. Returns the number of bytes that
 the library has, or -1 with errno EINVAL (`size` is smaller than the structure of version 0.2,
 or larger than 4096; `epfd` is not an instance of epolyfill), EBADF, EFAULT (`stats` is not
 writable), EBUSY (in a signal handler that interrupted the library). The checks are made in this
 order, and a call that fails writes nothing.

 Counters are always on. The counters of an instance are of one moment; the sums of the process
 are read one instance after the other. A forked child has a copy. The counters of each instance
 start at 0 and never decrease; an event that cannot be attributed to an instance is not counted.

 # Safety
 `stats` may be any address at which the program expects `size` bytes to be written.
 */
int epolyfill_stats(int epfd, struct epolyfill_stats *stats, size_t size);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* EPOLYFILL_H */

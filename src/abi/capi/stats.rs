//! Counters of an instance, for a program or its developer.

use std::ffi::c_int;

use crate::abi::calls;
use crate::graph::stats;

/// Counters of an instance since it was made, and its present state. In a healthy event loop few of
/// the counters grow except those of work done; the comment of each field says what its growth
/// means.
///
/// Later versions of the library add fields at the end, and remove none.
#[repr(C)]
#[allow(non_camel_case_types)] // The name is C's.
#[derive(Clone, Copy, Debug)]
pub struct epolyfill_stats {
    /// Control calls that succeeded.
    pub controls: u64,
    /// Control calls that failed on this instance (ENOENT, EEXIST and the like): the program's
    /// record of its registrations is wrong.
    pub controls_refused: u64,
    /// Registrations that ended with the last descriptor of their open file, and not by
    /// EPOLL_CTL_DEL.
    pub closed: u64,
    /// Registrations among these whose descriptor was closed, or replaced by another file, by a
    /// call that the library did not see.
    pub vanished: u64,
    /// Waits that began.
    pub waits: u64,
    /// Waits that ended without an event, because their time was up. With a timeout of 0 the loop
    /// polls instead of sleeping.
    pub timeouts: u64,
    /// Waits that a signal handler ended (EINTR).
    pub interrupted: u64,
    /// Events reported. If it grows as fast as `waits`, and `sleeps` does not grow, a descriptor is
    /// ready all the time: a level that the program does not clear, such as EPOLLOUT without data
    /// to write.
    pub events: u64,
    /// Edges (EPOLLET) among these events that came after the level had been low: the descriptor
    /// had been drained, or had no room.
    pub edges_level: u64,
    /// Edges that came while the level was high, found because more has arrived in total than at
    /// the last report: the reported data is not drained.
    pub edges_count: u64,
    /// Edges that came while the level was high, shown by a call of this process, such as a second write to an eventfd that nobody reads.
    pub edges_call: u64,
    /// Reports of unread descriptors that cannot be counted: there may have been an edge, or none.
    /// These are the spurious ones.
    pub edges_doubted: u64,
    /// Edges that the kernel reported through io_uring.
    pub edges_ring: u64,
    /// Registrations put on the ready list.
    pub enqueues: u64,
    /// Registrations that were on the ready list already when `poll` found them ready: mostly
    /// level-triggered ones that were reported and are still ready.
    pub duplicates: u64,
    /// Registrations that left the ready list unreported: deleted, no longer ready, or without an
    /// edge. One for each handled level-triggered event is normal.
    pub stale: u64,
    /// Calls of `poll` over the poll set, with or without a sleep.
    pub polls: u64,
    /// Descriptors in those calls, in total. Divided by `polls` it is the cost of a call.
    pub scanned: u64,
    /// Sleeps of waiting threads.
    pub sleeps: u64,
    /// Sleeps that ended before the time was up with nothing to report, so that the wait continued.
    pub empty_wakeups: u64,
    /// Sleeps that another thread ended: it changed a registration, closed a descriptor, or handed
    /// the wait over.
    pub kicks: u64,
    /// Waits that handed the instance over to another waiting thread, and woke it for that.
    pub handoffs: u64,
    /// Counts of arrivals that were taken because a reported edge-triggered registration might hide
    /// more. If this grows in a wait that sleeps, a descriptor was not drained: until it is, the
    /// waiting thread wakes some 20 times a second.
    pub samples: u64,
    /// Registrations that were given to a watcher thread, because they were silent for long.
    pub parks: u64,
    /// Registrations that a watcher found ready, and gave back.
    pub unparks: u64,
    /// Times that the instance got a ring of io_uring.
    pub rings: u64,
    /// Times that it gave one up, and returned to poll.
    pub rings_left: u64,
    /// Completions taken from it.
    pub completions: u64,
    /// Now: registrations.
    pub registrations: u64,
    /// Now: registrations on the ready list. A level-triggered registration stays there until a
    /// wait finds it no longer ready.
    pub ready: u64,
    /// Now: threads in a wait.
    pub waiters: u64,
    /// Now: registrations with a watcher thread.
    pub parked: u64,
}

/// Reads the counters of an instance; with `epfd` -1 the sums over all instances that the process
/// has or had.
///
/// `size` is `sizeof *stats`, which lets a program and a library of different versions work
/// together, as in sched_getattr(2): if the library has more than `size` bytes the program gets the
/// first `size`, and if it has fewer it fills the rest with zeros. Returns the number of bytes that
/// the library has, or -1 with errno EINVAL (`size` is smaller than the structure of version 0.2,
/// or larger than 4096; `epfd` is not an instance of epolyfill), EBADF, EFAULT (`stats` is not
/// writable), EBUSY (in a signal handler that interrupted the library). The checks are made in this
/// order, and a call that fails writes nothing.
///
/// Counters are always on. The counters of an instance are of one moment; the sums of the process
/// are read one instance after the other. A forked child has a copy. The counters of each instance
/// start at 0 and never decrease; an event that cannot be attributed to an instance is not counted.
///
/// # Safety
/// `stats` may be any address at which the program expects `size` bytes to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_stats(epfd: c_int, stats: *mut epolyfill_stats, size: usize) -> c_int {
    // SAFETY: the caller answers for what is there.
    calls::answer(unsafe { stats::read(epfd, stats, size) })
}

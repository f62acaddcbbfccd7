//! What an instance has done, for a program or for who debugs it.

use std::ffi::c_int;

use crate::calls;
use crate::stats;

/// What an instance did since it was made, as counters, and what it has now. In an event loop that is well few of the counters grow
/// but for work done: what each says when it grows is written beside it.
///
/// Later versions of the library add fields at the end, and take none away.
#[repr(C)]
#[allow(non_camel_case_types)] // The name is C's.
#[derive(Clone, Copy, Debug)]
pub struct epolyfill_stats {
    /// Control calls that succeeded.
    pub controls: u64,
    /// Control calls that failed on this instance (ENOENT, EEXIST and the like): the program's notion of what is registered is wrong.
    pub controls_refused: u64,
    /// Registrations that ended with the last descriptor of their open file, and not by EPOLL_CTL_DEL.
    pub closed: u64,
    /// Of those, the ones whose descriptor was closed, or exchanged for another file, by a call that the library did not see.
    pub vanished: u64,
    /// Waits that began.
    pub waits: u64,
    /// Waits that ended without an event, because their time was up. Where the timeout is 0 the loop polls instead of sleeping.
    pub timeouts: u64,
    /// Waits that a signal handler ended (EINTR).
    pub interrupted: u64,
    /// Events reported. When it grows as fast as `waits`, and `sleeps` does not grow, something is ready all the time: a level that nobody
    /// takes away, such as EPOLLOUT without anything to write.
    pub events: u64,
    /// Of those, edges (EPOLLET) that came after the level had been low: the descriptor had been drained, or had no room.
    pub edges_level: u64,
    /// Edges that came while the level was high, found because more has arrived in all than at the last report: what was reported before is
    /// not drained.
    pub edges_count: u64,
    /// Edges that came while the level was high, shown by a call of this process, such as a second write to an eventfd that nobody reads.
    pub edges_call: u64,
    /// Reports of what is unread and cannot be counted: there may have been an edge, or none. These are the spurious ones.
    pub edges_doubted: u64,
    /// Edges that the kernel told of by io_uring.
    pub edges_ring: u64,
    /// Registrations put on the ready list.
    pub enqueues: u64,
    /// Those that were on it already when `poll` found them ready: level-triggered registrations, most of all, that were reported and are ready
    /// still.
    pub duplicates: u64,
    /// Those that left the ready list unreported: deleted, no longer ready, or no edge. One for each level-triggered event that was dealt
    /// with is as it should be.
    pub stale: u64,
    /// Looks at all that is polled, by `poll`, with a sleep or without.
    pub polls: u64,
    /// Descriptors in those looks, all told. Divided by `polls` it is what each costs.
    pub scanned: u64,
    /// Sleeps of waiting threads.
    pub sleeps: u64,
    /// Sleeps that ended before the time was up, and the wait went on, for there was nothing to report.
    pub empty_wakeups: u64,
    /// Sleeps that were ended by another thread: it changed a registration, closed a descriptor, left the wait to the next one.
    pub kicks: u64,
    /// Waits that left the instance to another thread that was waiting on it, which was woken for that.
    pub handoffs: u64,
    /// Counts of arrivals that were taken because something edge-triggered was reported and might hide more. That this grows in a wait that
    /// sleeps says that a descriptor was not drained: until it is the waiting thread wakes some 20 times a second.
    pub samples: u64,
    /// Registrations that were given to a watcher thread, because they were silent for long.
    pub parks: u64,
    /// Those that a watcher found ready, and gave back.
    pub unparks: u64,
    /// Times that the instance got a ring of io_uring.
    pub rings: u64,
    /// Times that it gave one up, and was polled from then on.
    pub rings_left: u64,
    /// Completions taken from it.
    pub completions: u64,
    /// Now: registrations.
    pub registrations: u64,
    /// Now: on the ready list. A level-triggered registration stays there until a wait finds it no longer ready.
    pub ready: u64,
    /// Now: threads in a wait.
    pub waiters: u64,
    /// Now: registrations with a watcher thread.
    pub parked: u64,
}

/// Reads the counters of an instance; with `epfd` -1 those of all instances that the process has or had, added up.
///
/// `size` is `sizeof *stats`, by which a program and a library of different versions understand each other, as with sched_getattr(2): of a
/// library that knows more than `size` bytes the program gets the first `size`, and one that knows less fills the rest with zeros. Returns
/// how many bytes the library knows, or -1 with errno EINVAL (`size` is smaller than the structure of version 0.2, or larger than 4096;
/// `epfd` is no instance of epolyfill's), EBADF, EFAULT (`stats`: any address that cannot be written to), EBUSY (in a signal handler that
/// interrupted the library). The checks are made in this order, and where one fails nothing is written.
///
/// Counters are always on. They are of one moment, but for those of the process, which are read one instance after the other. A forked child
/// has a copy. They start at 0 with each instance and never go back; what cannot be told apart from another instance's is not in them.
///
/// # Safety
/// `stats` may be any address at which the program expects `size` bytes to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_stats(epfd: c_int, stats: *mut epolyfill_stats, size: usize) -> c_int {
    // SAFETY: the caller answers for what is there.
    calls::answer(unsafe { stats::read(epfd, stats, size) })
}

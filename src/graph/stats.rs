//! Counters, in the words of a ready queue. Those of an instance are plain numbers under its lock,
//! so threads on different instances share nothing. Atomic ones are for what belongs to no
//! instance. `api/stats.rs` reads and prints them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::edge::Evidence;
use crate::graph::epstate::EpState;
use crate::options;

pub use epolyfill_stats as Stats;

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
    /// Edges that came while the level was high, shown by a call of this process, such as a second
    /// write to an eventfd that is not read.
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
    /// Registrations that were handed to a watcher thread, because they had been silent for long.
    pub parks: u64,
    /// Registrations that a watcher found ready, and handed back.
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

/// Arithmetic and the table, field by field.
macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        const _: () = assert!([$($name),*].len() * size_of::<u64>() == size_of::<Stats>(), "each field is there once");

        impl Stats {
            /// All zero.
            pub const fn new() -> Stats {
                Stats { $($field: 0),* }
            }

            /// The difference to an earlier value.
            pub fn since(self, before: Stats) -> Stats {
                Stats { $($field: self.$field.wrapping_sub(before.$field)),* }
            }

            /// The sums.
            pub fn plus(self, other: Stats) -> Stats {
                Stats { $($field: self.$field.wrapping_add(other.$field)),* }
            }

            /// The bytes of the structure.
            pub fn bytes(self) -> [u8; size_of::<Stats>()] {
                let mut bytes = [0; size_of::<Stats>()];
                let values = [$(self.$field),*];
                for (place, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                    *place = value.to_ne_bytes();
                }
                bytes
            }

            /// The names in the table, with the values.
            pub fn for_each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit($name, self.$field);)*
            }
        }
    };
}

// In the order of the structure.
epolyfill_environment::with_counters!(fields);

impl Stats {
    /// Counts an edge that is reported, because of a completion of the ring or of this evidence.
    #[inline]
    pub fn edge(&mut self, by_ring: bool, evidence: Evidence) {
        let counter = match evidence {
            _ if by_ring => &mut self.edges_ring,
            Evidence::Level => &mut self.edges_level,
            Evidence::Count => &mut self.edges_count,
            Evidence::Call => &mut self.edges_call,
            Evidence::Doubt => &mut self.edges_doubted,
        };
        *counter += 1;
    }

    /// Counts one `poll` over this number of descriptors.
    #[inline]
    pub fn polled(&mut self, descriptors: usize) {
        self.polls += 1;
        self.scanned += descriptors as u64;
    }
}

/// The counters of an instance. The record keeps them when another instance gets it, so that the
/// sums over the process lose nothing. The new instance subtracts the values at its start.
#[derive(Debug)]
pub struct Counted {
    now: Stats,
    before: Stats,
}

impl Counted {
    /// The offsets of the counters, and of their values at the start of the instance, for readers
    /// from outside.
    pub const NOW_AT: usize = std::mem::offset_of!(Counted, now);
    pub const BEFORE_AT: usize = std::mem::offset_of!(Counted, before);

    /// All zero.
    pub const fn new() -> Counted {
        Counted { now: Stats::new(), before: Stats::new() }
    }

    /// Handles the reuse of the record for another instance.
    pub fn begin_anew(&mut self) {
        self.before = self.now;
    }

    /// The values at the start of the instance.
    pub fn at_start(&self) -> Stats {
        self.before
    }
}

impl std::ops::Deref for Counted {
    type Target = Stats;

    fn deref(&self) -> &Stats {
        &self.now
    }
}

impl std::ops::DerefMut for Counted {
    fn deref_mut(&mut self) -> &mut Stats {
        &mut self.now
    }
}

impl EpState {
    /// All values that the record has counted so far, with the present state of the instance.
    pub fn stats_now(&self) -> Stats {
        Stats {
            registrations: self.items.interest.len() as u64,
            ready: self.ready.list.iter().filter(|item| item.at(&self.held).alive.get()).count() as u64,
            waiters: self.queue.waiters.count() as u64,
            parked: self.backend.parked as u64,
            ..*self.stats
        }
    }
}

/// A counter that belongs to no instance. It counts only with `EPOLYFILL_COUNTERS=1`, because busy
/// threads would share its cache line.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    value: AtomicU64,
}

impl Counter {
    /// Increments it.
    #[inline]
    pub fn count(&self) {
        if options::COUNTERS.is_on() {
            self.value.fetch_add(1, Relaxed);
        }
    }

    /// Its name in the table, and its value.
    pub fn read(&self) -> (&'static str, u64) {
        (self.name, self.value.load(Relaxed))
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident $name:literal;)*) => {
        $($(#[$doc])* pub static $counter: Counter = Counter { name: $name, value: AtomicU64::new(0) };)*
        /// All of them.
        pub static COUNTERS: &[&Counter] = &[$(&$counter),*];
    };
}

counters! {
    /// Threads made to leave poll so that a descriptor could be closed.
    EVICTIONS "evictions";
    /// Polls by watchers.
    WATCHER_POLLS "watcher polls";
    /// Watcher threads started.
    WATCHERS "watchers";
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn a_recycled_record_continues_in_the_sums_and_starts_at_zero_for_its_instance() {
        let mut counted = Counted::new();
        counted.waits += 5;
        counted.begin_anew();
        counted.waits += 2;
        assert_eq!(counted.waits, 7);
        assert_eq!(counted.now.since(counted.at_start()).waits, 2);
    }

    #[test]
    fn the_bytes_are_those_of_the_structure() {
        let stats = Stats { controls: 1, parked: 2, ..Stats::new() };
        let bytes = stats.bytes();
        assert_eq!((bytes[0], bytes[offset_of!(Stats, parked)]), (1, 2));
    }
}

//! Counters: what the library did, in the words of a ready queue. Printed at exit with `EPOLYFILL_COUNTERS=1`.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::eventpoll;
use crate::log::Line;
use crate::options;
use crate::sys;

/// One counter. Counts only while counters are wanted, so that busy threads do not share a cache line for nothing.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    value: AtomicU64,
}

impl Counter {
    /// One more.
    #[inline]
    pub fn count(&self) {
        self.add(1);
    }

    /// Several more.
    #[inline]
    pub fn add(&self, n: u64) {
        if options::COUNTERS.is_on() {
            self.value.fetch_add(n, Relaxed);
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident $name:literal;)*) => {
        $($(#[$doc])* pub static $counter: Counter = Counter { name: $name, value: AtomicU64::new(0) };)*
        static ALL: &[&Counter] = &[$(&$counter),*];
    };
}

counters! {
    /// Calls of epoll_ctl.
    CONTROLS "controls";
    /// Calls of epoll_wait and its relatives.
    WAITS "waits";
    /// Events reported.
    EVENTS "events";
    /// Polls by waiting threads.
    POLLS "polls";
    /// Descriptors in those polls, all told.
    SCANNED "descriptors scanned";
    /// Registrations put on a ready list.
    ENQUEUES "enqueues";
    /// Those that were on it already.
    DUPLICATES "duplicates suppressed";
    /// Those that were dropped from it unreported: the level was gone, or it was no edge.
    STALE "stale dropped";
    /// Sleeps that ended with nothing to report.
    EMPTY_WAKEUPS "empty wake-ups";
    /// Looks behind quiet bits.
    SAMPLES "samples";
    /// Sleepers woken by another thread.
    KICKS "kicks";
    /// Poll handed from one waiting thread to the next.
    HANDOFFS "hand-offs";
    /// Threads made to leave poll so that a descriptor could be closed.
    EVICTIONS "evictions";
    /// Registrations given to watchers.
    PARKS "parks";
    /// Polls by watchers.
    WATCHER_POLLS "watcher polls";
    /// Watcher threads started.
    WATCHERS "watchers";
    /// Rings made.
    RINGS "rings";
    /// Completions taken out of rings.
    COMPLETIONS "completions";
    /// Rings given up for poll.
    RINGS_LEFT "rings given up";
    /// Descriptors that were closed behind our back.
    VANISHED "vanished";
}

/// Prints the table, if it is wanted.
pub fn print() {
    // A script starts many programs, and most have no instance to speak of.
    if !options::COUNTERS.is_on() || !eventpoll::any_yet() {
        return;
    }
    for counter in ALL {
        let mut line = Line::<80>::new();
        line.text("epolyfill[")
            .number(sys::getpid().into())
            .text("]: ")
            .text(counter.name)
            .column(44)
            .number(counter.value.load(Relaxed).cast_signed())
            .text("\n");
        line.to_stderr();
    }
}

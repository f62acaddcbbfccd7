//! Counters: what the library did, in the words of a ready queue. Each instance has its own, which its lock protects, so they are plain
//! numbers and threads on different instances share nothing. `epolyfill_stats` reads them, and with `EPOLYFILL_COUNTERS=1` the sums are
//! printed at exit, with what belongs to no instance.

use std::mem::offset_of;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use libc::c_int;
use nix::errno::Errno;

pub use crate::abi::capi::stats::epolyfill_stats as Stats;

use crate::edge::Evidence;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::{self, Eventpoll};
use crate::instance::open;
use crate::lock;
use crate::log::Line;
use crate::options;
use crate::sys;
use crate::user;

/// The size of the structure's first version: no program has a smaller one.
const FIRST: usize = offset_of!(Stats, parked) + size_of::<u64>();
/// The largest that a program may have.
const LARGEST: usize = 4096;

const _: () = assert!(FIRST == 256, "version 0.2 of the structure never changes");

/// How the table and the arithmetic go through the fields.
macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        const _: () = assert!([$($name),*].len() * size_of::<u64>() == size_of::<Stats>(), "each field is there once");

        impl Stats {
            /// Nothing done yet.
            pub const fn new() -> Stats {
                Stats { $($field: 0),* }
            }

            /// What was counted since `before`.
            fn since(self, before: Stats) -> Stats {
                Stats { $($field: self.$field.wrapping_sub(before.$field)),* }
            }

            /// The sums of both.
            fn plus(self, other: Stats) -> Stats {
                Stats { $($field: self.$field.wrapping_add(other.$field)),* }
            }

            /// As bytes for a program.
            fn bytes(self) -> [u8; size_of::<Stats>()] {
                let mut bytes = [0; size_of::<Stats>()];
                let values = [$(self.$field),*];
                for (place, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                    *place = value.to_ne_bytes();
                }
                bytes
            }

            fn for_each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit($name, self.$field);)*
            }
        }
    };
}

// In the order of the structure.
fields! {
    controls "controls",
    controls_refused "controls refused",
    closed "registrations ended by a close",
    vanished "vanished",
    waits "waits",
    timeouts "time-outs",
    interrupted "interrupted",
    events "events",
    edges_level "edges by level",
    edges_count "edges by count",
    edges_call "edges by call",
    edges_doubted "edges in doubt",
    edges_ring "edges by ring",
    enqueues "enqueues",
    duplicates "duplicates suppressed",
    stale "stale dropped",
    polls "polls",
    scanned "descriptors scanned",
    sleeps "sleeps",
    empty_wakeups "empty wake-ups",
    kicks "kicks",
    handoffs "hand-offs",
    samples "samples",
    parks "parks",
    unparks "unparks",
    rings "rings",
    rings_left "rings given up",
    completions "completions",
    registrations "registrations now",
    ready "ready now",
    waiters "waiters now",
    parked "parked now",
}

impl Stats {
    /// An edge is reported, which the ring told of, or else this showed.
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

    /// One look by `poll` at so many.
    #[inline]
    pub fn polled(&mut self, descriptors: usize) {
        self.polls += 1;
        self.scanned += descriptors as u64;
    }
}

/// The counters of an instance. Its record goes on counting when it is another instance's, so that nothing is lost of the sums: what it had
/// shown before is no part of what the new one did.
#[derive(Debug)]
pub struct Counted {
    now: Stats,
    before: Stats,
}

impl Counted {
    /// Nothing done yet.
    pub const fn new() -> Counted {
        Counted { now: Stats::new(), before: Stats::new() }
    }

    /// The record is another instance's.
    pub fn begin_anew(&mut self) {
        self.before = self.now;
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
    /// All that the record ever counted, with what the instance has now.
    fn stats(&self) -> Stats {
        Stats {
            registrations: self.interest.len() as u64,
            ready: self.ready.iter().filter(|item| item.at(&self.held).alive.get()).count() as u64,
            waiters: self.waiters.count() as u64,
            parked: self.parked as u64,
            ..*self.stats
        }
    }
}

/// Those of all instances that are, and were. Those that somebody else has, as long as it does not matter to `wanted`, are waited for.
fn sum(mut wanted: impl FnMut() -> bool) -> Stats {
    let mut sum = Stats::new();
    Eventpoll::for_each(|ep| {
        if let Some(st) = ep.lock_while(&mut wanted) {
            sum = sum.plus(st.stats());
        }
    });
    sum
}

/// epolyfill_stats.
///
/// # Safety
/// `to` must be an address at which the program expects `size` bytes to be written.
pub unsafe fn read(epfd: c_int, to: *mut Stats, size: usize) -> Result<c_int, Errno> {
    if !(FIRST..=LARGEST).contains(&size) {
        return Err(Errno::EINVAL);
    }
    let stats = match epfd {
        _ if lock::interrupted() => return Err(Errno::EBUSY),
        -1 => sum(|| true),
        _ => {
            let ep = open::find(epfd)?;
            let st = ep.lock();
            st.stats().since(st.stats.before)
        }
    };
    let mut bytes = [0; LARGEST];
    // SAFETY: the caller answers for the address.
    unsafe { user::write_bytes(to.cast(), fit(&stats.bytes(), &mut bytes[..size])) }?;
    Ok(size_of::<Stats>() as c_int)
}

/// As much as the program knows of what the library knows, and zeros for what only the program knows.
fn fit<'a>(known: &[u8], wanted: &'a mut [u8]) -> &'a [u8] {
    let common = known.len().min(wanted.len());
    wanted[..common].copy_from_slice(&known[..common]);
    wanted[common..].fill(0);
    wanted
}

/// A counter of what belongs to no instance. Counts only while counters are wanted, so that busy threads do not share a cache line for
/// nothing.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    value: AtomicU64,
}

impl Counter {
    /// One more.
    #[inline]
    pub fn count(&self) {
        if options::COUNTERS.is_on() {
            self.value.fetch_add(1, Relaxed);
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
    /// Threads made to leave poll so that a descriptor could be closed.
    EVICTIONS "evictions";
    /// Polls by watchers.
    WATCHER_POLLS "watcher polls";
    /// Watcher threads started.
    WATCHERS "watchers";
}

/// Prints the table, if it is wanted.
pub fn print() {
    // A script starts many programs, and most have no instance to speak of.
    if !options::COUNTERS.is_on() || !eventpoll::any_yet() {
        return;
    }
    // The process ends, whoever has an instance: in a signal handler that may be the thread itself.
    let mut patience = if lock::interrupted() { 0 } else { 100 };
    let sum = sum(|| {
        patience -= i32::from(patience > 0);
        patience > 0
    });
    sum.for_each(print_line);
    for counter in ALL {
        print_line(counter.name, counter.value.load(Relaxed));
    }
}

fn print_line(name: &str, value: u64) {
    let mut line = Line::<80>::new();
    line.text("epolyfill[")
        .number(sys::getpid().into())
        .text("]: ")
        .text(name)
        .column(52)
        .number(value.cast_signed())
        .text("\n");
    line.to_stderr();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_what_it_and_the_library_know_and_zeros_for_the_rest() {
        let known = [1, 2, 3, 4];
        assert_eq!(fit(&known, &mut [9; 2]), [1, 2]);
        assert_eq!(fit(&known, &mut [9; 4]), [1, 2, 3, 4]);
        assert_eq!(fit(&known, &mut [9; 6]), [1, 2, 3, 4, 0, 0]);
    }

    #[test]
    fn a_recycled_record_goes_on_in_the_sums_and_starts_anew_for_its_instance() {
        let mut counted = Counted::new();
        counted.waits += 5;
        counted.begin_anew();
        counted.waits += 2;
        assert_eq!(counted.waits, 7);
        assert_eq!(counted.now.since(counted.before).waits, 2);
    }

    #[test]
    fn the_bytes_are_the_structure() {
        let stats = Stats { controls: 1, parked: 2, ..Stats::new() };
        let bytes = stats.bytes();
        assert_eq!((bytes[0], bytes[offset_of!(Stats, parked)]), (1, 2));
    }
}

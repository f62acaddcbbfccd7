//! Counts of arrivals on a description, and what two of them show.

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU8, AtomicU32};

use crate::kind::Kind;
use crate::tcp::TcpState;

/// A count of arrivals, packed into a word: most are plain sums, and the top bits mark those that
/// are compared in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u64);

/// Marks a count of which every change is an arrival: the bytes and the state of a TCP connection,
/// above all.
const VERSION: u64 = 1 << 60;
/// Marks a count of datagrams.
const DATAGRAMS: u64 = 1 << 61;
/// Marks the set of pending signals, with the number of those taken so far.
const SIGNALS: u64 = 1 << 62;
/// Marks a count that a call of this process ran into: what the call took may be missing.
const BLURRED: u64 = 1 << 63;

/// Too many datagrams are queued, or they cannot be peeked at.
const UNCOUNTED: u64 = 0x3ff;
/// The bytes of a TCP connection.
const BYTES: u64 = (VERSION - 1) & !0xff;

impl Count {
    /// A plain sum.
    pub const fn total(sum: u64) -> Count {
        Count(sum & !(SIGNALS | DATAGRAMS | BLURRED))
    }

    /// A number of which every change is an arrival.
    pub const fn version(number: u64) -> Count {
        Count(VERSION | number)
    }

    /// The state of a TCP connection. `errors` is the number of arrivals found in its error queue.
    pub const fn stream(bytes: u64, errors: u8, state: TcpState) -> Count {
        Count(VERSION | (bytes << 8) & BYTES | (errors as u64 & 7) << 5 | state as u64)
    }

    /// The same of a connection that has space, or has none, while its state goes on changing.
    #[must_use]
    pub const fn with_space(self, has_space: bool) -> Count {
        Count(self.0 | (has_space as u64) << 4)
    }

    /// The same without the bytes.
    #[must_use]
    pub const fn without_bytes(self) -> Count {
        Count(self.0 & !BYTES)
    }

    /// Whether a TCP connection that is otherwise the same has received as many bytes as at the
    /// count `before`.
    pub const fn has_reached(self, before: Count) -> bool {
        self.0 >= before.0
    }

    /// A count of datagrams: how many were taken, how many are queued, if that could be counted,
    /// and the memory in use.
    pub fn datagrams(taken: u64, queued: Option<u64>, memory: u64) -> Count {
        let queued = queued.unwrap_or(UNCOUNTED).min(UNCOUNTED);
        Count(DATAGRAMS | ((taken & 0x3_ffff) << 42) | (queued << 32) | (memory & 0xffff_ffff))
    }

    /// A count of pending signals: their set, and how many were taken.
    pub const fn signals(pending: u64, taken: u32) -> Count {
        Count(SIGNALS | (pending & !REAL_TIME) << 31 | (taken & NUMBERS as u32) as u64)
    }

    /// The same, and whether a call of this process ran into it.
    #[must_use]
    pub const fn blurred(self, is_blurred: bool) -> Count {
        Count(self.0 | if is_blurred { BLURRED } else { 0 })
    }

    /// Whether a call of this process ran into the count.
    pub const fn is_blurred(self) -> bool {
        self.0 & BLURRED != 0
    }

    /// The same, as if no call had run into it.
    #[must_use]
    pub const fn plain(self) -> Count {
        Count(self.0 & !BLURRED)
    }

    /// Whether the count is changed by other processes, so that an arrival need not show.
    pub fn is_loose(self, kind: Kind) -> bool {
        kind == Kind::Signalfd && self.0 & SIGNALS == 0
    }
}

/// The count of arrivals at the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not taken, or cannot be.
    Never,
    /// It was asked for, and could not be taken.
    Missed,
    /// Nothing was there to count: whatever is taken later has arrived since.
    Empty,
    /// This many.
    Count(Count),
}

impl Seen {
    /// Whether something has arrived by the later count `now`: that cannot be ruled out without a
    /// count before.
    pub fn shows_arrival(self, now: Count, taken: &TakenSignals) -> bool {
        match self {
            Seen::Count(before) => matches!(change(before, now, taken), Change::Arrival),
            Seen::Never | Seen::Missed | Seen::Empty => true,
        }
    }
}

/// A [`Seen`] in eight bytes: no count reaches the three highest numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedSeen(u64);

impl PackedSeen {
    pub(crate) const NEVER: PackedSeen = PackedSeen(u64::MAX);
    pub(crate) const MISSED: PackedSeen = PackedSeen(u64::MAX - 1);
    pub(crate) const EMPTY: PackedSeen = PackedSeen(u64::MAX - 2);

    #[inline]
    pub(crate) const fn of(count: Count) -> PackedSeen {
        PackedSeen(count.plain().0)
    }

    #[inline]
    pub(crate) const fn get(self) -> Seen {
        match self {
            PackedSeen::NEVER => Seen::Never,
            PackedSeen::MISSED => Seen::Missed,
            PackedSeen::EMPTY => Seen::Empty,
            PackedSeen(count) => Seen::Count(Count(count)),
        }
    }
}

/// No datagram takes less memory.
const LEAST_DATAGRAM: i32 = 512;

/// The difference between two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing came.
    Nothing,
    /// Something came.
    Arrival,
    /// Something was taken by a process that no hook sees.
    Loss,
}

/// The change between two counts of one description. A loss may be what a call that ran into the
/// second count is about to account for.
pub fn change(before: Count, now: Count, taken: &TakenSignals) -> Change {
    match exact_change(before.0, now.plain().0, taken) {
        Change::Loss if now.is_blurred() => Change::Nothing,
        change => change,
    }
}

/// The better of two counts between which nothing came, to compare the next one with. Of datagrams
/// that could not be counted before, the later one may know how many there were; one that a call
/// ran into is less exact.
pub fn refined(before: Count, now: Count) -> Count {
    let both = before.0 & now.0;
    if both & SIGNALS != 0 {
        // Signals that were taken without a read of a signalfd come anew.
        return now;
    }
    let exact = !now.is_blurred() && both & DATAGRAMS != 0 && before.0 >> 42 == now.0 >> 42;
    if exact && before.0 & 0xffff_ffff == now.0 & 0xffff_ffff { now } else { before }
}

fn exact_change(before: u64, now: u64, signals: &TakenSignals) -> Change {
    let arrived = if before & now & SIGNALS != 0 {
        signals.shows_arrival(before, now)
    } else if before & now & DATAGRAMS != 0 {
        let split = |count: u64| ((count >> 42) & 0x3_ffff, (count >> 32) & 0x3ff, count & 0xffff_ffff);
        let ((taken, queued, memory), (taken_now, queued_now, memory_now)) = (split(before), split(now));
        let taken_since = taken_now.wrapping_sub(taken) & 0x3_ffff;
        let more_memory = (memory_now as u32).wrapping_sub(memory as u32).cast_signed();
        if taken_since == 0 {
            more_memory > 0
        } else if queued != UNCOUNTED && queued_now != UNCOUNTED {
            if taken_since + queued_now < queued {
                return Change::Loss;
            }
            taken_since + queued_now > queued
        } else {
            // Of an unknown number one was taken, and nothing is left: nothing need have come, but
            // an error that takes up what that gave back.
            queued != UNCOUNTED || queued_now > 0 || taken_since > 1 || more_memory > -LEAST_DATAGRAM
        }
    } else if before & now & VERSION != 0 {
        now != before
    } else if now < before {
        return Change::Loss;
    } else {
        now > before
    };
    if arrived { Change::Arrival } else { Change::Nothing }
}

/// Real-time signals, of which several of one number can be pending.
pub const REAL_TIME: u64 = !0 << 31;

/// The bits of the number of signals taken, and of each set of pending ones.
const NUMBERS: u64 = (1 << 31) - 1;

/// How many of the signals that were taken are remembered.
const REMEMBERED: usize = 64;

/// The signals that were last read from signalfds, and how many there were in all. One for the
/// process, because all its signalfds take from the same signals.
#[derive(Debug)]
pub struct TakenSignals {
    last: [AtomicU8; REMEMBERED],
    number: AtomicU32,
}

impl TakenSignals {
    /// None was taken yet.
    pub const fn new() -> TakenSignals {
        TakenSignals { last: [const { AtomicU8::new(0) }; REMEMBERED], number: AtomicU32::new(0) }
    }

    /// A signal was read from a signalfd.
    pub fn note(&self, signal: u32) {
        let at = self.number.fetch_add(1, SeqCst) as usize % REMEMBERED;
        self.last[at].store(u8::try_from(signal).unwrap_or(0), SeqCst);
    }

    /// How many were taken, as counts have it.
    pub fn number(&self) -> u32 {
        self.number.load(SeqCst) & NUMBERS as u32
    }

    /// Whether a signal came between two counts: one is pending, or was taken, that was not pending
    /// before or taken since.
    fn shows_arrival(&self, before: u64, now: u64) -> bool {
        let split = |count: u64| ((count >> 31) & NUMBERS, count & NUMBERS);
        let ((mut pending, taken), (pending_now, taken_now)) = (split(before), split(now));
        let taken_since = taken_now.wrapping_sub(taken) & NUMBERS;
        if taken_since > REMEMBERED as u64 {
            return true;
        }
        for at in 0..taken_since {
            let number = self.last[(taken + at) as usize % REMEMBERED].load(SeqCst);
            let bit = 1_u64.checked_shl(u32::from(number).wrapping_sub(1)).unwrap_or(0);
            if bit & NUMBERS != 0 && pending & bit == 0 {
                return true;
            }
            pending &= !bit;
        }
        pending_now & !pending != 0
    }
}

impl Default for TakenSignals {
    fn default() -> TakenSignals {
        TakenSignals::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: Count, now: Count) -> Change {
        change(before, now, &TakenSignals::new())
    }

    #[test]
    fn a_count_that_a_call_ran_into_shows_arrivals_only() {
        assert_eq!(shown(Count::total(5), Count::total(4)), Change::Loss);
        assert_eq!(shown(Count::total(5), Count::total(4).blurred(true)), Change::Nothing);
        assert_eq!(shown(Count::total(5), Count::total(5).blurred(true)), Change::Nothing);
        assert_eq!(shown(Count::total(5), Count::total(6).blurred(true)), Change::Arrival);
    }

    #[test]
    fn fewer_datagrams_than_there_were_are_a_loss() {
        let count = |taken: u64, queued: u64| Count::datagrams(taken, Some(queued), queued);
        assert_eq!(shown(count(0, 3), count(1, 2)), Change::Nothing);
        assert_eq!(shown(count(0, 3), count(1, 3)), Change::Arrival);
        assert_eq!(shown(count(0, 3), count(1, 1)), Change::Loss);
        assert_eq!(shown(count(0, 3), count(1, 1).blurred(true)), Change::Nothing);
    }

    #[test]
    fn a_signal_that_was_taken_between_two_counts_is_an_arrival() {
        const USR1: u64 = 1 << 9;
        let taken = TakenSignals::new();
        let nothing = Count::signals(0, taken.number());
        let pending = Count::signals(USR1, taken.number());
        assert_eq!(change(nothing, pending, &taken), Change::Arrival);
        assert_eq!(change(pending, pending, &taken), Change::Nothing);
        taken.note(10);
        let after = Count::signals(0, taken.number());
        assert_eq!(change(pending, after, &taken), Change::Nothing, "the one that was pending was taken");
        assert_eq!(change(nothing, after, &taken), Change::Arrival, "one came, and was taken");
        assert_eq!(change(pending, Count::signals(USR1, taken.number()), &taken), Change::Arrival, "it came again");
    }

    #[test]
    fn more_signals_than_are_remembered_are_an_arrival() {
        let taken = TakenSignals::new();
        let before = Count::signals(!0, taken.number());
        (0..=REMEMBERED).for_each(|_| taken.note(10));
        assert_eq!(change(before, Count::signals(0, taken.number()), &taken), Change::Arrival);
    }

    #[test]
    fn a_packed_count_comes_back() {
        for seen in [PackedSeen::NEVER, PackedSeen::MISSED, PackedSeen::EMPTY] {
            assert!(!matches!(seen.get(), Seen::Count(_)));
        }
        let count = Count::datagrams(!0, None, !0);
        assert_eq!(PackedSeen::of(count.blurred(true)).get(), Seen::Count(count));
    }
}

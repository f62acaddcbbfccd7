//! Counts of arrivals on a description, and the difference between two.

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU8, AtomicU32};

use crate::kind::Kind;
use crate::tcp::TcpState;

/// A count of arrivals, packed into a word. Most counts are plain sums; the top bits mark those
/// that are compared in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(u64);

/// Marks a count whose every change is an arrival, above all the bytes and the state of a TCP
/// connection.
const VERSION: u64 = 1 << 60;
/// Marks a count of datagrams.
const DATAGRAMS: u64 = 1 << 61;
/// Marks the set of pending signals, with the number of signals taken so far.
const SIGNALS: u64 = 1 << 62;
/// Marks a count that a call of this process overlapped: data that the call took may be missing.
const BLURRED: u64 = 1 << 63;

/// The number of queued datagrams if there are too many, or if they cannot be peeked at.
const UNCOUNTED: u64 = 0x3ff;
/// The bytes of a TCP connection.
const BYTES: u64 = (VERSION - 1) & !0xff;

impl Count {
    /// A plain sum.
    pub const fn total(sum: u64) -> Count {
        Count(sum & !(SIGNALS | DATAGRAMS | BLURRED))
    }

    /// A number whose every change is an arrival.
    pub const fn version(number: u64) -> Count {
        Count(VERSION | number)
    }

    /// The state of a TCP connection. `errors` is the number of arrivals found in its error queue.
    pub const fn stream(bytes: u64, errors: u8, state: TcpState) -> Count {
        Count(VERSION | (bytes << 8) & BYTES | (errors as u64 & 7) << 5 | state as u64)
    }

    /// The same, with a bit for space, for a connection whose state is still to change.
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

    /// A count of datagrams: the number taken, the number queued if it could be counted, and the
    /// memory in use.
    pub fn datagrams(taken: u64, queued: Option<u64>, memory: u64) -> Count {
        let queued = queued.unwrap_or(UNCOUNTED).min(UNCOUNTED);
        Count(DATAGRAMS | ((taken & 0x3_ffff) << 42) | (queued << 32) | (memory & 0xffff_ffff))
    }

    /// A count of signals: the set of pending ones, and the number taken.
    pub const fn signals(pending: u64, taken: u32) -> Count {
        Count(SIGNALS | (pending & !REAL_TIME) << 31 | (taken & NUMBERS as u32) as u64)
    }

    /// The same, marked if a call of this process overlapped it.
    #[must_use]
    pub const fn blurred(self, is_blurred: bool) -> Count {
        Count(self.0 | if is_blurred { BLURRED } else { 0 })
    }

    /// Whether a call of this process overlapped the count.
    pub const fn is_blurred(self) -> bool {
        self.0 & BLURRED != 0
    }

    /// The same without the mark of an overlapping call.
    #[must_use]
    pub const fn plain(self) -> Count {
        Count(self.0 & !BLURRED)
    }

    /// Whether other processes change the count, so that it may not show an arrival.
    pub fn is_loose(self, kind: Kind) -> bool {
        kind == Kind::Signalfd && self.0 & SIGNALS == 0
    }
}

/// The count of arrivals at the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastCount {
    /// No count was taken, or none can be.
    Never,
    /// A count was attempted and failed.
    Missed,
    /// There was nothing to count: data that is taken later has arrived since.
    Empty,
    /// The count.
    Count(Count),
}

impl LastCount {
    /// Whether there was an arrival by the later count `now`. Without an earlier count it cannot be
    /// ruled out.
    pub fn shows_arrival(self, now: Count, taken: &TakenSignals) -> bool {
        match self {
            LastCount::Count(before) => matches!(change(before, now, taken), Change::Arrival),
            LastCount::Never | LastCount::Missed | LastCount::Empty => true,
        }
    }
}

/// A [`LastCount`] in eight bytes: no count reaches the three highest numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedLastCount(u64);

impl PackedLastCount {
    pub(crate) const NEVER: PackedLastCount = PackedLastCount(u64::MAX);
    pub(crate) const MISSED: PackedLastCount = PackedLastCount(u64::MAX - 1);
    pub(crate) const EMPTY: PackedLastCount = PackedLastCount(u64::MAX - 2);

    #[inline]
    pub(crate) const fn of(count: Count) -> PackedLastCount {
        PackedLastCount(count.plain().0)
    }

    #[inline]
    pub(crate) const fn get(self) -> LastCount {
        match self {
            PackedLastCount::NEVER => LastCount::Never,
            PackedLastCount::MISSED => LastCount::Missed,
            PackedLastCount::EMPTY => LastCount::Empty,
            PackedLastCount(count) => LastCount::Count(Count(count)),
        }
    }
}

/// The least memory that a datagram takes.
const LEAST_DATAGRAM: i32 = 512;

/// The difference between two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was no arrival.
    Nothing,
    /// There was an arrival.
    Arrival,
    /// A process that no hook sees has taken something.
    Loss,
}

/// The change between two counts of one description. If a call overlapped the second count, an
/// apparent loss may be the data that the call takes, so it is no change.
pub fn change(before: Count, now: Count, taken: &TakenSignals) -> Change {
    match exact_change(before.0, now.plain().0, taken) {
        Change::Loss if now.is_blurred() => Change::Nothing,
        change => change,
    }
}

/// The better of two counts without an arrival in between, to compare the next one with. The later
/// one may have the number of datagrams that could not be counted before. A count that a call
/// overlapped is less exact.
pub fn refined(before: Count, now: Count) -> Count {
    let both = before.0 & now.0;
    if both & SIGNALS != 0 {
        // A signal that was taken without a read of a signalfd is an arrival when it comes again.
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
            // The memory of an error that was discarded may be a datagram's by now.
            let more_queued = queued != UNCOUNTED && queued_now != UNCOUNTED && queued_now > queued;
            more_memory > 0 || more_queued
        } else if queued != UNCOUNTED && queued_now != UNCOUNTED {
            if taken_since + queued_now < queued {
                return Change::Loss;
            }
            taken_since + queued_now > queued
        } else {
            // If the number was unknown, one was taken and none is left, there need not have been
            // an arrival, unless an error has used the memory that was given back.
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

/// Real-time signals. Several of one number can be pending.
pub const REAL_TIME: u64 = !0 << 31;

/// The bits of the number of signals taken, and those of the set of pending signals.
const NUMBERS: u64 = (1 << 31) - 1;

/// The number of taken signals that are remembered.
const REMEMBERED: usize = 64;

/// The signals that were last read from signalfds, and their number. There is one such record in a
/// process, because all its signalfds take from the same signals.
#[derive(Debug)]
pub struct TakenSignals {
    last: [AtomicU8; REMEMBERED],
    number: AtomicU32,
}

impl TakenSignals {
    /// A record with no signal.
    pub const fn new() -> TakenSignals {
        TakenSignals { last: [const { AtomicU8::new(0) }; REMEMBERED], number: AtomicU32::new(0) }
    }

    /// Records a signal that was read from a signalfd.
    pub fn note(&self, signal: u32) {
        let at = self.number.fetch_add(1, SeqCst) as usize % REMEMBERED;
        self.last[at].store(u8::try_from(signal).unwrap_or(0), SeqCst);
    }

    /// The number of signals taken, modulo the width of the field in a count.
    pub fn number(&self) -> u32 {
        self.number.load(SeqCst) & NUMBERS as u32
    }

    /// Whether a signal arrived between two counts. A signal that was taken in between, or is
    /// pending now, has arrived unless it was pending before and was not taken since.
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
    fn a_datagram_in_the_memory_of_a_discarded_error_is_an_arrival() {
        let count = |queued| Count::datagrams(0, queued, 768);
        assert_eq!(shown(count(Some(0)), count(Some(0))), Change::Nothing);
        assert_eq!(shown(count(Some(0)), count(Some(1))), Change::Arrival);
        assert_eq!(shown(count(None), count(Some(1))), Change::Nothing);
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
        for last in [PackedLastCount::NEVER, PackedLastCount::MISSED, PackedLastCount::EMPTY] {
            assert!(!matches!(last.get(), LastCount::Count(_)));
        }
        let count = Count::datagrams(!0, None, !0);
        assert_eq!(PackedLastCount::of(count.blurred(true)).get(), LastCount::Count(count));
    }
}

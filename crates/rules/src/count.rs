//! Counts: numbers that grow with every arrival on a description, and what two of them show.
//!
//! A count is a word. Most are plain sums; the top bits mark those that are compared in another way. The heads of the
//! functions that make them say what they are made of.

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU8, AtomicU32};

use crate::kind::Kind;
use crate::tcp::TcpState;

/// Marks the bytes and the state of a TCP connection, and other numbers of which every change is an
/// arrival.
pub const TCP: u64 = 1 << 60;

/// A count of a TCP connection. `errors` is the number of arrivals found in its error queue.
pub const fn stream_count(bytes: u64, errors: u8, state: TcpState) -> u64 {
    TCP | (bytes << 8) & (TCP - 1) | (errors as u64 & 7) << 5 | state as u64
}

/// Marks a count of UDP datagrams: behind it stand how many were taken, how many are queued, and the memory in use.
pub const UDP: u64 = 1 << 61;
/// Marks the set of pending signals, with the number of those taken so far.
pub const SIGNALS: u64 = 1 << 62;
/// Marks a count that a call of this process ran into: what that took may be missing.
pub const BLURRED: u64 = 1 << 63;
/// Too many datagrams are queued, or they cannot be peeked at.
pub const UNCOUNTED: u64 = 0x3ff;

/// A count of datagrams: how many were taken, how many are queued (at most [`UNCOUNTED`]), and the memory in use.
pub const fn datagram_count(taken: u64, queued: u64, memory: u64) -> u64 {
    UDP | ((taken & 0x3_ffff) << 42) | (queued << 32) | (memory & 0xffff_ffff)
}

/// A count of pending signals: their set, and how many were taken.
pub const fn signal_count(pending: u64, taken: u32) -> u64 {
    SIGNALS | (pending & !REAL_TIME) << 31 | (taken & NUMBERS as u32) as u64
}

/// A count without a mark: a plain sum, of which the bits of the marks are never reached, or given up.
pub const fn unmarked(count: u64) -> u64 {
    count & !(SIGNALS | UDP | BLURRED)
}

/// Whether a call of this process ran into the count.
pub const fn is_blurred(count: u64) -> bool {
    count & BLURRED != 0
}

/// No datagram takes less memory.
const LEAST_DATAGRAM: i32 = 512;

/// What two counts show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing came.
    Nothing,
    /// Something came.
    Arrival,
    /// Something was taken by somebody whom we do not see.
    Loss,
}

/// A count, whether a call ran into it or not.
pub const fn plain(count: u64) -> u64 {
    count & !BLURRED
}

/// Whether a count is changed by what others do, so that an arrival need not show.
pub fn is_loose(kind: Kind, count: u64) -> bool {
    kind == Kind::Signalfd && count & SIGNALS == 0
}

/// What happened between two counts of one description. Nobody need have taken what a call that ran into the second is about to
/// account for.
pub fn change(before: u64, now: u64, taken: &TakenSignals) -> Change {
    match exact_change(before, plain(now), taken) {
        Change::Loss if now & BLURRED != 0 => Change::Nothing,
        change => change,
    }
}

/// The later of two counts between which nothing came, for what comes next: of datagrams that could not be counted before it may know how many
/// there were. One that a call ran into is less exact.
pub fn refined(before: u64, now: u64) -> u64 {
    if before & now & SIGNALS != 0 {
        // Signals that were taken without a read of a signalfd come anew.
        return now;
    }
    let exact = now & BLURRED == 0 && before & now & UDP != 0 && before >> 42 == now >> 42;
    if exact && before & 0xffff_ffff == now & 0xffff_ffff { now } else { before }
}

fn exact_change(before: u64, now: u64, signals: &TakenSignals) -> Change {
    let arrived = if before & now & SIGNALS != 0 {
        signals.shows_arrival(before, now)
    } else if before & now & UDP != 0 {
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
    } else if before & now & TCP != 0 {
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

/// The signals that were last read from signalfds, and how many there were in all. One for the process, because all its
/// signalfds take from the same signals.
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

    /// Whether a signal came between two counts: one is pending, or was taken, that was not pending before or taken since.
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

    fn shown(before: u64, now: u64) -> Change {
        change(before, now, &TakenSignals::new())
    }

    #[test]
    fn a_count_that_a_call_ran_into_shows_arrivals_only() {
        assert_eq!(shown(5, 4), Change::Loss);
        assert_eq!(shown(5, 4 | BLURRED), Change::Nothing);
        assert_eq!(shown(5, 5 | BLURRED), Change::Nothing);
        assert_eq!(shown(5, 6 | BLURRED), Change::Arrival);
    }

    #[test]
    fn fewer_datagrams_than_there_were_are_a_loss() {
        let count = |taken: u64, queued: u64| datagram_count(taken, queued, queued);
        assert_eq!(shown(count(0, 3), count(1, 2)), Change::Nothing);
        assert_eq!(shown(count(0, 3), count(1, 3)), Change::Arrival);
        assert_eq!(shown(count(0, 3), count(1, 1)), Change::Loss);
        assert_eq!(shown(count(0, 3), count(1, 1) | BLURRED), Change::Nothing);
    }

    #[test]
    fn a_signal_that_was_taken_between_two_counts_is_an_arrival() {
        const USR1: u64 = 1 << 9;
        let taken = TakenSignals::new();
        let nothing = signal_count(0, taken.number());
        let pending = signal_count(USR1, taken.number());
        assert_eq!(change(nothing, pending, &taken), Change::Arrival);
        assert_eq!(change(pending, pending, &taken), Change::Nothing);
        taken.note(10);
        let after = signal_count(0, taken.number());
        assert_eq!(change(pending, after, &taken), Change::Nothing, "the one that was pending was taken");
        assert_eq!(change(nothing, after, &taken), Change::Arrival, "one came, and was taken");
        assert_eq!(change(pending, signal_count(USR1, taken.number()), &taken), Change::Arrival, "it came again");
    }

    #[test]
    fn more_signals_than_are_remembered_are_an_arrival() {
        let taken = TakenSignals::new();
        let before = signal_count(!0, taken.number());
        (0..=REMEMBERED).for_each(|_| taken.note(10));
        assert_eq!(change(before, signal_count(0, taken.number()), &taken), Change::Arrival);
    }
}

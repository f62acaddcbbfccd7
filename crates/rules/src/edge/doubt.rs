//! Levels that stay high although nothing shows whether there was an arrival. They are reported
//! again after a delay, which grows.

use super::{Edge, Evidence, Flags};
use crate::count::PackedLastCount;
use crate::events::{Bits, ERR, PRI, READABLE, WRITABLE};
use crate::kind::{Arrivals, Kind};

/// The first delay before such a level is reported again, in nanoseconds. It doubles each time.
pub(super) const DOUBT_NS: u64 = 1_000_000;
/// The number of doublings. The delay is then about a second, and stays.
const LAST_DOUBT: u8 = 10;
/// For kinds without a count the delay stays at 4 ms for this many reports, most of a second. The
/// program may have taken everything without a call, so that the data there now is new.
const STEADY_DOUBT: u8 = 2;
const STEADY_DOUBTS: u8 = 200;
/// A value in place of the number of doublings: something was taken since the last report.
pub(super) const TAKEN: u8 = u8::MAX;
/// The time after that for which an arrival that a loose count does not show may go unnoticed, in
/// nanoseconds.
pub(super) const LATE_NS: u64 = 200_000_000;

/// The levels that can hide an edge where the program's calls are not seen. The kernel counts the
/// arrivals on a TCP connection, and those that come from this library are known.
pub(super) const fn doubtful(kind: Kind) -> Bits {
    match kind {
        Kind::Epoll | Kind::Source | Kind::Notice | Kind::Pressure | Kind::Glimpse => 0,
        Kind::Attribute => ERR | PRI,
        Kind::Tcp => WRITABLE,
        _ => READABLE | WRITABLE,
    }
}

impl Edge {
    /// Reports doubtful levels again after the delay, where the program's calls are not seen. Data
    /// that they took may have been followed by more, and no count shows it. The same holds where a
    /// change shows until it is read: the next change is invisible.
    pub fn doubted_unseen(&mut self, kind: Kind, now: u64) {
        let bits = self.reported & doubtful(kind);
        if bits != 0 && self.due == 0 {
            // The program has just had the report, and is about to take the data.
            self.due = now + DOUBT_NS;
        } else if bits != 0 && now >= self.due {
            self.doubt(kind, bits, now);
        }
    }

    fn doubt(&mut self, kind: Kind, bits: Bits, now: u64) {
        self.reported &= !bits;
        self.evidence = Evidence::Doubt;
        self.last_count = PackedLastCount::NEVER;
        self.due = now + (DOUBT_NS << self.doublings(kind).min(LAST_DOUBT));
        // `TAKEN` is not a number of doublings.
        self.doubts = self.doubts.saturating_add(1).min(TAKEN - 1);
    }

    /// The number of times that the delay has doubled.
    const fn doublings(&self, kind: Kind) -> u8 {
        match kind.arrivals() {
            Arrivals::Unknown | Arrivals::Memory if self.doubts <= STEADY_DOUBTS => {
                if self.doubts < STEADY_DOUBT {
                    self.doubts
                } else {
                    STEADY_DOUBT
                }
            }
            Arrivals::Unknown | Arrivals::Memory => self.doubts - STEADY_DOUBTS + STEADY_DOUBT,
            _ => self.doubts,
        }
    }

    /// Handles a count that other processes change as well, which may not show an arrival. If
    /// something was taken and more is there, the level is reported once, after a while.
    pub fn counted_loosely(&mut self, kind: Kind, now: u64) {
        if self.doubts != TAKEN || self.reported & READABLE == 0 {
            return;
        }
        if self.due == 0 {
            self.due = now + LATE_NS;
        } else if now >= self.due {
            self.doubts = 0;
            self.doubt(kind, READABLE, now);
        }
    }

    /// Reports an unread level of a kind without a count again, at once the first time and then
    /// after growing delays. Such a report is spurious if nothing arrived, but no arrival is lost.
    pub fn doubted(&mut self, kind: Kind, now: u64) {
        self.flags.remove(Flags::RECHECK_COUNT);
        if self.doubts == TAKEN {
            self.doubts = 0;
        }
        if self.reported & READABLE != 0 && now >= self.due {
            self.doubt(kind, READABLE, now);
        }
    }
}

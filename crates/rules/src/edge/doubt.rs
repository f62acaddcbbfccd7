//! Levels that stay high while nothing shows whether more arrived: they are reported again after a
//! delay, which grows.

use super::{Edge, Evidence, Flags};
use crate::count::PackedSeen;
use crate::events::{Bits, ERR, PRI, READABLE, WRITABLE};
use crate::kind::{Arrivals, Kind};

/// The first delay before an unexplained level is reported again, in nanoseconds; it doubles each
/// time.
pub(super) const DOUBT_NS: u64 = 1_000_000;
/// After so many doublings, about a second, the delay stays.
const LAST_DOUBT: u8 = 10;
/// Of what nothing counts the delay stays at 4 ms for so many reports, which is most of a second:
/// the program may have taken everything without a call, and what is there now is new.
const STEADY_DOUBT: u8 = 2;
const STEADY_DOUBTS: u8 = 200;
/// In place of the number of doublings: something was taken since the last report.
pub(super) const TAKEN: u8 = u8::MAX;
/// How long after that an arrival may go unnoticed that a loose count did not show, in nanoseconds.
pub(super) const LATE_NS: u64 = 200_000_000;

/// The levels behind which an edge can hide where the program's calls are not seen. What arrives on
/// a TCP connection is counted whoever takes it, and what comes from this library is known.
pub(super) const fn doubtful(kind: Kind) -> Bits {
    match kind {
        Kind::Epoll | Kind::Source | Kind::Notice | Kind::Pressure | Kind::Glimpse => 0,
        Kind::Attribute => ERR | PRI,
        Kind::Tcp => WRITABLE,
        _ => READABLE | WRITABLE,
    }
}

impl Edge {
    /// Where the program's calls are not seen: whatever they took may have come again since, and no
    /// count shows it. The same where a change shows until it is read: the next one shows in
    /// nothing.
    pub fn doubted_unseen(&mut self, kind: Kind, now: u64) {
        let bits = self.quiet & doubtful(kind);
        if bits != 0 && self.due == 0 {
            // Who was told just now is about to take it.
            self.due = now + DOUBT_NS;
        } else if bits != 0 && now >= self.due {
            self.doubt(kind, bits, now);
        }
    }

    fn doubt(&mut self, kind: Kind, bits: Bits, now: u64) {
        self.quiet &= !bits;
        self.evidence = Evidence::Doubt;
        self.seen = PackedSeen::NEVER;
        self.due = now + (DOUBT_NS << self.doublings(kind).min(LAST_DOUBT));
        // `TAKEN` is no number of them.
        self.doubts = self.doubts.saturating_add(1).min(TAKEN - 1);
    }

    /// How often the delay has doubled.
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

    /// After a count that others' doings change as well, and which so may not show an arrival: if
    /// something was taken and more is there, that is reported after a while, once.
    pub fn counted_loosely(&mut self, kind: Kind, now: u64) {
        if self.doubts != TAKEN || self.quiet & READABLE == 0 {
            return;
        }
        if self.due == 0 {
            self.due = now + LATE_NS;
        } else if now >= self.due {
            self.doubts = 0;
            self.doubt(kind, READABLE, now);
        }
    }

    /// For kinds without a count: an unread level is reported again, at once the first time and
    /// then ever later. Spurious, where the kernel would stay silent, but no arrival is lost.
    pub fn doubted(&mut self, kind: Kind, now: u64) {
        self.flags.remove(Flags::RECHECK_COUNT);
        if self.doubts == TAKEN {
            self.doubts = 0;
        }
        if self.quiet & READABLE != 0 && now >= self.due {
            self.doubt(kind, READABLE, now);
        }
    }
}

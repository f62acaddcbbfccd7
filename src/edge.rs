//! Which change of level is an edge: pure state and functions, without a descriptor.
//!
//! `poll` tells levels. After a level was reported edge-triggered it is *quiet*: left out of the poll set until there is
//! evidence of a new edge. Evidence is that the level was seen low, a fact that a witness reports, or a count of arrivals
//! that grew. So an edge-triggered registration is a level-triggered one whose reported bits sleep, and everything here
//! decides what wakes them (E1 to E6).

use crate::events::{Bits, ERR, HUP, PRI, RDHUP, READABLE, WRITABLE};
use crate::kind::{Arrivals, Kind};

/// What a transfer call showed about a description, as bits that add up.
pub type Facts = u16;

/// A read-like call found nothing: the readable level was low at that moment.
pub const DRY: Facts = 1;
/// A read-like call took as much as it asked for.
pub const TOOK: Facts = 1 << 1;
/// A read-like call took less than it asked for: a stream was empty, most likely.
pub const TOOK_SHORT: Facts = 1 << 2;
/// A write-like call was accepted whole.
pub const GAVE: Facts = 1 << 3;
/// A write-like call was refused or cut short: the writable level was low.
pub const CHOKED: Facts = 1 << 4;
/// A call failed for another reason: a pending error may have been collected.
pub const FAILED: Facts = 1 << 5;
/// The peer took something out of a unix socket's queue.
pub const DEPARTED: Facts = 1 << 6;
/// The description starts anew: connect, listen, a timer that was set.
pub const ANEW: Facts = 1 << 7;

/// Facts about the reading side.
pub const READ_FACTS: Facts = DRY | TOOK | TOOK_SHORT;
/// Facts about the writing side.
pub const WRITE_FACTS: Facts = GAVE | CHOKED | DEPARTED;

/// A count that was not taken yet.
const UNSEEN: u64 = u64::MAX;

/// The first delay before an unexplained level is reported again, in nanoseconds; it doubles each time.
const DOUBT_NS: u64 = 1_000_000;
/// After so many doublings, about a second, the delay stays.
const LAST_DOUBT: u8 = 10;

/// The memory of one edge-triggered registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Levels reported, and high as far as we know.
    quiet: Bits,
    /// Somebody wrote or took: the quiet levels are worth one look, for they may have fallen.
    look: bool,
    /// How often an unexplained level was reported again.
    doubts: u8,
    /// The count of arrivals at the last report.
    seen: u64,
    /// When an unexplained level is due to be reported again, in nanoseconds of the monotonic clock.
    due: u64,
}

impl Edge {
    /// Nothing reported yet.
    pub const FRESH: Edge = Edge { quiet: 0, look: false, doubts: 0, seen: UNSEEN, due: 0 };

    /// The bits that sleep.
    pub const fn quiet(&self) -> Bits {
        self.quiet
    }

    /// The bits to ask poll for; `None` when the descriptor must leave the set, because poll reports a hang-up or an error
    /// whether it is asked or not.
    pub const fn asked(&self, watched: Bits) -> Option<Bits> {
        if self.quiet & (ERR | HUP) != 0 { None } else { Some(watched & !self.quiet) }
    }

    /// Takes in what the witnesses saw. `news` is false when the calls began before the last report: then the write may be
    /// the very one that was reported, and what was taken may have come before it or after.
    pub fn digest(&mut self, kind: Kind, facts: Facts, news: bool) {
        let facts = if news { facts } else { facts & !GAVE };
        if facts & ANEW != 0 {
            if news {
                *self = Edge::FRESH;
            } else {
                self.look = true;
            }
            return;
        }
        let eventfd = matches!(kind, Kind::Eventfd | Kind::EventfdSemaphore);
        if eventfd && !news && facts & READ_FACTS != 0 {
            // Every writer of this process tells us, so a look settles it.
            self.look = true;
            return;
        }
        if facts & DRY != 0 {
            self.wake_reader(kind);
        }
        if facts & (TOOK | TOOK_SHORT) != 0 {
            match kind.arrivals() {
                // The packet may have been cut short, and what was cut off is gone uncounted.
                Arrivals::Queued if matches!(kind, Kind::UnixSeqpacket) && facts & TOOK != 0 => {
                    self.quiet &= !READABLE;
                    self.seen = UNSEEN;
                }
                // The count will say whether what is there is new.
                Arrivals::Received | Arrivals::Queued if facts & TOOK_SHORT != 0 => self.quiet &= !READABLE,
                Arrivals::Received | Arrivals::Queued | Arrivals::Backlog => {}
                // Should the count be refused, what is left counts as news.
                Arrivals::Datagrams | Arrivals::Diagnosed => (self.doubts, self.due) = (0, 0),
                Arrivals::Witnessed if matches!(kind, Kind::EventfdSemaphore) => self.look = true,
                Arrivals::Witnessed | Arrivals::Memory | Arrivals::Signals | Arrivals::Unknown => {
                    self.wake_reader(kind)
                }
            }
            if eventfd {
                self.quiet &= !WRITABLE;
            }
        }
        if facts & GAVE != 0 {
            match kind {
                Kind::Eventfd | Kind::EventfdSemaphore | Kind::Epoll => self.wake_reader(kind),
                // A datagram on its way out frees its buffer; a terminal takes what it is given.
                Kind::Udp | Kind::Tty => self.quiet &= !WRITABLE,
                // A pipe may be exactly full now, which no refused write will tell.
                Kind::Pipe | Kind::Fifo => self.look = true,
                _ => {}
            }
        }
        if facts & (CHOKED | DEPARTED) != 0 {
            self.quiet &= !WRITABLE;
        }
        if facts & FAILED != 0 {
            self.look = true;
        }
    }

    /// The reading side is news again. Counts that fall as the program reads say nothing about before and after.
    fn wake_reader(&mut self, kind: Kind) {
        self.quiet &= !READABLE;
        if !kind.arrivals().is_cumulative() {
            self.seen = UNSEEN;
        }
        self.doubts = 0;
    }

    /// The bits in `level` that are not known to have been reported.
    pub const fn fresh(&self, level: Bits) -> Bits {
        level & !self.quiet
    }

    /// Whether `level`, all of the registration's bits as they are now, is an edge to report. `count` is asked for the
    /// arrivals where the readable level is high. Afterwards the state is as after a report, or as after a look.
    pub fn report(&mut self, level: Bits, count: impl FnOnce() -> Option<u64>) -> bool {
        let fresh = self.fresh(level);
        self.quiet &= level;
        self.look = false;
        if fresh == 0 {
            return false;
        }
        let count = if level & READABLE == 0 { None } else { count() };
        let nothing_arrived = count.is_some() && self.seen != UNSEEN && count == Some(self.seen);
        if fresh & !READABLE == 0 && nothing_arrived {
            self.quiet |= fresh;
            return false;
        }
        self.seen = count.unwrap_or(UNSEEN);
        self.quiet = level;
        true
    }

    /// Whether the registration has quiet bits behind which an edge could hide that nobody tells us of. Such a
    /// registration is sampled whenever somebody waits.
    pub fn is_uneasy(&self, kind: Kind, watched: Bits, departures: bool, shared: bool) -> bool {
        let quiet = self.quiet & watched;
        let over = quiet & HUP != 0 && kind.hangup_is_final() || quiet & ERR != 0 && matches!(kind, Kind::Pipe);
        if over {
            return false;
        }
        let arrivals =
            quiet & READABLE != 0 && quiet & RDHUP == 0 && (!matches!(kind.arrivals(), Arrivals::Witnessed) || shared);
        arrivals || quiet & (ERR | HUP | PRI) != 0 || (departures && quiet & WRITABLE != 0) || self.look
    }

    /// Whether a look at the levels is needed to go on sleeping, rather than a count alone.
    pub const fn wants_look(&self) -> bool {
        self.look || self.quiet & (ERR | HUP | PRI) != 0
    }

    /// Takes in a look at the quiet levels: one that has fallen is awake again.
    pub fn looked(&mut self, level: Bits) {
        self.quiet &= level;
        self.look = false;
    }

    /// Takes in a count of arrivals while the readable level sleeps. A count that fell means that somebody reads behind our
    /// back: what is there now may be new.
    pub fn counted(&mut self, count: u64) {
        if self.quiet & READABLE != 0 && self.seen != UNSEEN && count != self.seen {
            self.quiet &= !READABLE;
            if count < self.seen {
                self.seen = UNSEEN;
            }
        }
    }

    /// For kinds without a count: an unread level is reported again, at once the first time and then ever later. Spurious,
    /// where the kernel would stay silent, but no arrival is lost.
    pub fn doubted(&mut self, now: u64) {
        if self.quiet & READABLE != 0 && now >= self.due {
            self.quiet &= !READABLE;
            self.seen = UNSEEN;
            self.due = now + (DOUBT_NS << self.doubts.min(LAST_DOUBT));
            self.doubts = self.doubts.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{IN, OUT};

    const WATCHED: Bits = IN | OUT | RDHUP | ERR | HUP;

    #[test]
    fn a_level_is_reported_once() {
        let mut edge = Edge::FRESH;
        assert!(edge.report(IN | OUT, || Some(3)));
        assert_eq!(edge.asked(WATCHED), Some(RDHUP | ERR | HUP));
        assert!(!edge.report(IN | OUT, || Some(3)));
    }

    #[test]
    fn a_growing_count_wakes_the_reader_and_an_equal_one_does_not() {
        let mut edge = Edge::FRESH;
        edge.report(IN, || Some(3));
        edge.counted(3);
        assert!(!edge.report(IN, || Some(3)));
        edge.counted(5);
        assert!(edge.report(IN, || Some(5)));
    }

    #[test]
    fn a_short_read_is_an_edge_only_if_something_arrived() {
        let mut edge = Edge::FRESH;
        edge.report(IN, || Some(3));
        edge.digest(Kind::Tcp, TOOK_SHORT, true);
        assert_eq!(edge.asked(WATCHED).map(|bits| bits & IN), Some(IN));
        assert!(!edge.report(IN, || Some(3)), "the rest of a packet is not news");
        edge.digest(Kind::Tcp, TOOK_SHORT, true);
        assert!(edge.report(IN, || Some(4)));
    }

    #[test]
    fn a_refused_write_makes_room_news() {
        let mut edge = Edge::FRESH;
        edge.report(OUT, || None);
        edge.digest(Kind::Tcp, GAVE, true);
        assert!(!edge.report(OUT, || None), "a write that was accepted is none");
        edge.digest(Kind::Tcp, CHOKED, true);
        assert!(edge.report(OUT, || None));
    }

    #[test]
    fn a_hangup_leaves_the_set_and_comes_back_with_a_new_connection() {
        let mut edge = Edge::FRESH;
        assert!(edge.report(IN | HUP, || Some(0)));
        assert_eq!(edge.asked(WATCHED), None);
        assert!(!edge.is_uneasy(Kind::Tcp, WATCHED, false, false));
        assert!(edge.is_uneasy(Kind::Fifo, WATCHED, false, false), "another writer may open it");
        edge.digest(Kind::Tcp, ANEW, true);
        assert_eq!(edge, Edge::FRESH);
    }

    #[test]
    fn a_level_seen_low_is_news_when_it_rises() {
        let mut edge = Edge::FRESH;
        edge.report(IN | OUT, || Some(1));
        assert!(!edge.report(OUT, || None));
        assert!(edge.report(IN | OUT, || Some(2)));
    }

    #[test]
    fn the_writer_of_an_unread_eventfd_is_the_edge() {
        let mut edge = Edge::FRESH;
        for _ in 0..3 {
            assert!(edge.report(IN | OUT, || None));
            assert!(!edge.report(IN | OUT, || None));
            edge.digest(Kind::Eventfd, GAVE, true);
        }
    }

    #[test]
    fn doubts_come_at_once_and_then_ever_later() {
        let mut edge = Edge::FRESH;
        let mut now = 1_000_000_000;
        let mut delays = Vec::new();
        for _ in 0..5 {
            assert!(edge.report(IN, || None));
            edge.doubted(now);
            delays.push(edge.due - now);
            now = edge.due;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16].map(|n| n * DOUBT_NS));
    }

    #[test]
    fn a_write_that_was_reported_before_it_could_tell_is_no_second_edge() {
        let mut edge = Edge::FRESH;
        assert!(edge.report(IN, || None));
        edge.digest(Kind::Eventfd, GAVE, false);
        assert!(!edge.report(IN, || None));
    }
}

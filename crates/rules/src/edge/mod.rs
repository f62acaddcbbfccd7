//! The rules for which change of level is an edge: pure state and functions, without a descriptor.
//!
//! `poll` reports levels. A level that was reported edge-triggered stays out of the
//! poll set until there is evidence of a new edge. Evidence is a level that was found low, a fact
//! that a hook reports, or a count of arrivals that grew. So an edge-triggered registration is a
//! level-triggered one without its reported bits; this module decides when they are re-armed
//! (E1 to E6).
//! Kernel counterpart: the re-arm of an EPOLLET item in `ep_poll_callback`.

mod digest;
mod doubt;
mod evidence;
mod facts;

use bitflags::bitflags;

use crate::count::{self, Change, Count, LastCount, PackedLastCount, TakenSignals};
use crate::events::{Bits, ERR, HUP, IN, INCOMING, PRI, RDHUP, RDNORM, READABLE, WRITABLE};
use crate::kind::{Arrivals, Kind};

pub use evidence::Evidence;
pub use facts::Facts;

use doubt::{TAKEN, doubtful};

/// The facts about the process that a rule needs.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Hooks see the program's own calls. Otherwise edges are known from completions of a ring,
    /// from levels and from counts only.
    pub sees_calls: bool,
    /// The signals that the process has read from signalfds.
    pub taken_signals: &'a TakenSignals,
}

/// The facts about a description that an edge-triggered registration needs.
#[derive(Clone, Copy, Debug)]
pub struct Outlook {
    /// The kind of the description.
    pub kind: Kind,
    /// The level bits that matter to the registration.
    pub watched: Bits,
    /// Hooks see the program's own calls.
    pub sees_calls: bool,
    /// A unix socket's peer has unread data, and makes space when it reads.
    pub departures: bool,
    /// The peer's next read wakes this end, whether or not it makes space.
    pub full_peer: bool,
    /// Other processes may use the description, which no hook sees.
    pub shared: bool,
    /// The peer of a unix socket is gone for good, not only shut down.
    pub orphan: bool,
}

bitflags! {
    /// The flags of an [`Edge`]. The width leaves no padding in it, because it is copied often.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u32 {
        /// A call wrote or took something: the reported levels may have fallen, and need one look.
        const RECHECK_LEVEL = 1;
        /// A call took something that may have arrived since the last report: the count needs one
        /// look.
        const RECHECK_COUNT = 1 << 1;
        /// Every change of the count is a wake-up, whatever it does to the levels: a TCP connection
        /// is being closed and changes its state, or signals arrive that the signalfd of an inner
        /// instance does not take.
        const EVERY_CHANGE = 1 << 2;
        /// The memory is kept for outer instances, for which every wake-up counts, whether or not a
        /// level is left.
        const FOR_OUTER = 1 << 3;
        /// The registration was woken, and that was not reported to the outer instances yet.
        const OUTER_WOKEN = 1 << 4;
    }
}

/// The memory of one edge-triggered registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The levels that were reported, and are high as far as is known.
    reported: Bits,
    flags: Flags,
    /// The evidence that re-armed the bits that are not reported ones.
    evidence: Evidence,
    /// The number of times that an unexplained level was reported again.
    doubts: u8,
    /// The count of arrivals at the last report.
    last_count: PackedLastCount,
    /// The time when an unexplained level is to be reported again, in nanoseconds of the monotonic
    /// clock.
    due: u64,
}

impl Edge {
    /// The offset of the reported levels, for readers of the memory from outside.
    pub const REPORTED_AT: usize = core::mem::offset_of!(Edge, reported);

    /// The memory before the first report.
    pub const FRESH: Edge = Edge {
        reported: 0,
        flags: Flags::empty(),
        evidence: Evidence::Level,
        doubts: 0,
        last_count: PackedLastCount::NEVER,
        due: 0,
    };

    /// The same, kept for outer instances.
    #[inline]
    pub const fn for_outer(self) -> Edge {
        Edge { flags: self.flags.difference(Flags::OUTER_WOKEN).union(Flags::FOR_OUTER), ..self }
    }

    /// Whether it is kept for outer instances.
    #[inline]
    const fn tells(&self) -> bool {
        self.flags.contains(Flags::FOR_OUTER)
    }

    /// The evidence that the next report is of an edge.
    #[inline]
    pub const fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The memory before the first report. If this side of the connection was shut down (`shut`),
    /// the acknowledgement of the FIN may still be to come.
    #[inline]
    pub const fn anew(shut: bool) -> Edge {
        Edge { flags: if shut { Flags::EVERY_CHANGE } else { Flags::empty() }, ..Edge::FRESH }
    }

    /// The count of arrivals at the last report.
    #[inline]
    pub const fn last_count(&self) -> LastCount {
        self.last_count.get()
    }

    /// The bits that were reported, and are high as far as is known.
    #[inline]
    pub const fn reported(&self) -> Bits {
        self.reported
    }

    /// The bits to ask poll for. `None` if the descriptor must leave the set, because poll always
    /// reports a hang-up or an error.
    #[inline]
    pub const fn asked(&self, watched: Bits) -> Option<Bits> {
        if self.reported & (ERR | HUP) != 0 { None } else { Some(watched & !self.reported) }
    }

    /// Takes in a look that cleared the levels `gone`. The other levels are not edges, even if a
    /// change hid them for a moment.
    pub const fn passed(&mut self, kind: Kind, gone: Bits) {
        let steady = (READABLE | WRITABLE) & !kind.fleeting();
        self.reported = (self.reported | steady) & !gone;
    }

    /// The memory after a report by a ring: just the reported level.
    #[inline]
    pub const fn after_report(level: Bits) -> Edge {
        Edge { reported: level, ..Edge::FRESH }
    }

    /// Goes back to concluding wake-ups from levels and counts. `level` is the current level, and
    /// there was no wake-up since the last report.
    pub fn resume(&mut self, kind: Kind, level: Bits, view: View, count: impl FnOnce() -> Option<Count>) {
        let reported = self.reported & level;
        *self = Edge::FRESH;
        self.report(kind, reported, view, count);
    }

    /// Wakes the registration: every level that is high is news, because a report carries all of
    /// them (W4). Outer instances are woken once for all of them, and again for arrivals after the
    /// count. If none of the bits `woken` was reported, the level had been low.
    fn wake(&mut self, woken: Bits) {
        let Edge { doubts, due, .. } = *self;
        let mut flags = self.flags & (Flags::EVERY_CHANGE | Flags::FOR_OUTER);
        flags.set(Flags::OUTER_WOKEN, self.tells());
        let evidence = if self.reported & woken == 0 { self.evidence } else { Evidence::Call };
        let last_count = if self.tells() { self.last_count } else { PackedLastCount::NEVER };
        *self = Edge { flags, evidence, doubts, due, last_count, ..Edge::FRESH };
    }

    /// Takes in a level that waits for its turn to be reported. Even if it is gone by then, it woke
    /// the registration, so the levels are reported again. Data that is taken by then is counted.
    /// True if there were reported levels.
    pub fn waits(&mut self, level: Bits) -> bool {
        let fresh = self.fresh(level);
        let woken = fresh & !READABLE != 0 && self.reported != 0;
        if woken {
            self.wake(fresh);
        }
        woken
    }

    /// Takes in that these levels were low, whatever they are now.
    const fn was_low(&mut self, bits: Bits) {
        self.reported &= !bits;
        self.evidence = Evidence::Level;
    }

    /// Takes in that something was taken. If it arrived since the last report, it woke the
    /// registration, and the other levels that are high must be reported even if nothing is left to
    /// read.
    fn check_arrivals(&mut self, kind: Kind, watched: Bits, news: bool) {
        let others = self.tells() || self.reported & !READABLE != 0;
        if !others || watched & kind.arrives_with() == 0 || !kind.arrivals().is_cumulative() {
            return;
        }
        match self.last_count() {
            LastCount::Empty if news => self.wake(!0),
            // There was no count when outer instances were last woken, so this arrival may be a
            // later one.
            LastCount::Missed if news && self.tells() => self.wake(!0),
            LastCount::Empty | LastCount::Missed | LastCount::Never => {}
            LastCount::Count(_) => self.flags.insert(Flags::RECHECK_COUNT),
        }
    }

    /// Re-arms the readable level. A count that falls as the program reads is discarded, because it
    /// cannot be compared with a later one.
    fn wake_reader(&mut self, kind: Kind) {
        self.was_low(READABLE);
        if !kind.arrivals().is_cumulative() {
            self.last_count = PackedLastCount::NEVER;
        }
        self.doubts = 0;
    }

    /// The bits in `level` that are not known to have been reported.
    #[inline]
    pub const fn fresh(&self, level: Bits) -> Bits {
        level & !self.reported
    }

    /// Whether `level`, the current state of all the registration's bits, is an edge to report.
    /// `count` is called for the arrivals if the readable level is high, or if the connection is
    /// being closed. Afterwards the memory is as after a report, or as after a look.
    pub fn report(&mut self, kind: Kind, level: Bits, view: View, count: impl FnOnce() -> Option<Count>) -> bool {
        let fresh = self.fresh(level);
        if matches!(kind, Kind::Tcp) && fresh & (HUP | RDHUP) != 0 {
            self.follow();
        }
        // An instance's descriptor may look readable for a moment, but every edge of it is
        // reported.
        self.reported &= if matches!(kind, Kind::Epoll) { !0 } else { level };
        self.flags.remove(Flags::RECHECK_LEVEL);
        self.evidence = Evidence::Level;
        if !view.sees_calls && level & doubtful(kind) == 0 {
            (self.doubts, self.due) = (0, 0);
        }
        if fresh == 0 {
            return false;
        }
        let queued = level & INCOMING != 0 || level & ERR != 0 && kind.queues_errors();
        let is_counted = queued || self.is_closing() || self.counts_always(kind);
        let count = if is_counted { count() } else { None };
        let nothing_arrived = count.is_some_and(|count| {
            let LastCount::Count(before) = self.last_count() else { return false };
            matches!(count::change(before, count, view.taken_signals), Change::Nothing)
        });
        if fresh & !READABLE == 0 && nothing_arrived {
            self.reported |= fresh;
            return false;
        }
        self.flags.remove(Flags::RECHECK_COUNT);
        self.last_count = match count {
            Some(count) => PackedLastCount::of(count),
            None if !queued => PackedLastCount::EMPTY,
            // A later count of datagrams may succeed: an error was pending, or a peek was in
            // progress.
            None if kind.arrivals() == Arrivals::Datagrams => PackedLastCount::MISSED,
            None => PackedLastCount::NEVER,
        };
        self.reported = level;
        if self.doubts == TAKEN {
            (self.doubts, self.due) = (0, 0);
        }
        true
    }

    /// Whether a readable eventfd rose without a call that adds to it: there were `calls` such
    /// calls at the last report, and none since. Only for eventfds whose calls are seen.
    #[inline]
    pub fn rose_by_itself(&self, calls: u32) -> bool {
        self.reported & IN == 0 && self.due == u64::from(calls)
    }

    /// Records the number of calls at the report of an eventfd, in the field `due`. Only for
    /// eventfds whose calls are seen: they are never in doubt, so they do not use the time.
    #[inline]
    pub fn note_calls(&mut self, calls: u32) {
        self.due = calls.into();
    }

    /// Whether the registration has reported bits that could hide an edge that no hook reports. Such a
    /// registration is sampled at every wait.
    #[inline]
    pub fn needs_resample(&self, outlook: Outlook) -> bool {
        let Outlook { kind, watched, sees_calls, departures, full_peer, shared, orphan } = outlook;
        let reported = self.reported & watched;
        if matches!(kind, Kind::Source) {
            return false;
        }
        if self.is_closing() {
            return true;
        }
        let is_over = !kind.is_unix_data() || (orphan && !departures);
        let hung_up = reported & HUP != 0 && kind.hangup_is_final() && is_over;
        if hung_up || reported & ERR != 0 && matches!(kind, Kind::Pipe) {
            return false;
        }
        if !sees_calls && reported & doubtful(kind) != 0 {
            return true;
        }
        let more = reported & RDHUP == 0 || matches!(kind, Kind::Udp);
        let arrivals = reported & READABLE != 0 && more && (!kind.arrivals().is_private() || shared);
        arrivals
            || reported & (ERR | HUP | PRI) != 0
            || (departures && reported & WRITABLE != 0)
            || (departures && full_peer && (reported != 0 || self.tells()))
            || self.flags.contains(Flags::RECHECK_LEVEL)
            || self.flags.contains(Flags::RECHECK_COUNT)
    }

    /// Whether the registration needs a look at its levels, and not only a count, to keep its reported bits.
    #[inline]
    pub const fn wants_look(&self) -> bool {
        self.flags.contains(Flags::RECHECK_LEVEL) || self.reported & (ERR | HUP | PRI) != 0
    }

    /// The same for kinds without a count, whose data may be taken without a call.
    #[inline]
    pub const fn wants_look_uncounted(&self) -> bool {
        self.wants_look() || self.reported & READABLE != 0
    }

    /// Whether the registration needs only a count, and only if the next look shows nothing. An
    /// arrival shows in that look unless it was taken, and a report carries all the levels that are
    /// high.
    #[inline]
    pub const fn may_show(&self) -> bool {
        self.flags.contains(Flags::RECHECK_COUNT)
            && !self.is_closing()
            && !self.wants_look()
            && self.reported & READABLE == 0
    }

    /// Takes in that a connection that was hung up was connected again, which wakes every waiter.
    pub fn begun_anew(&mut self) {
        self.wake(!0);
    }

    /// Takes in a look at the reported levels: one that has fallen is re-armed. A FIFO's hang-up falls
    /// when a writer opens it, which wakes every waiter.
    pub fn looked(&mut self, kind: Kind, level: Bits) {
        if self.reported & !level & HUP != 0 && matches!(kind, Kind::Fifo) {
            self.wake(!0);
        }
        if self.reported & !level & READABLE != 0 && self.doubts != TAKEN {
            // The next arrival is an edge, and the one after it may be, too.
            (self.doubts, self.due) = (0, 0);
        }
        if !matches!(kind, Kind::Epoll) {
            self.reported &= level;
        }
        if matches!(kind, Kind::Attribute) && level & ERR == 0 {
            (self.doubts, self.due) = (0, 0);
        }
        self.flags.remove(Flags::RECHECK_LEVEL);
    }

    /// Takes in that there is no space at present: the next space is news.
    #[inline]
    pub const fn lacks_room(&mut self) {
        self.reported &= !WRITABLE;
    }

    /// As [`Self::report`], for outer instances: whether there is something to report to them. Only
    /// the bits `known` of the level were looked at.
    pub fn announce(
        &mut self,
        kind: Kind,
        level: Bits,
        known: Bits,
        view: View,
        count: impl Fn() -> Option<Count>,
    ) -> bool {
        if self.flags.contains(Flags::RECHECK_COUNT)
            && let Some(count) = count()
        {
            // Data that was taken may have arrived since the last report, which no level shows now.
            self.counted(count, view);
        }
        let recheck = self.flags.contains(Flags::RECHECK_LEVEL) && self.reported & !known != 0;
        let news = self.report(kind, level & known | self.reported & !known, view, &count);
        self.flags.set(Flags::RECHECK_LEVEL, recheck);
        let is_unknown = matches!(self.last_count(), LastCount::Never | LastCount::Missed);
        if is_unknown && known & (IN | RDNORM) != 0 && self.reported & INCOMING == 0 && self.counts_always(kind) {
            self.last_count = count().map_or(PackedLastCount::EMPTY, PackedLastCount::of);
        }
        if news {
            // Reported with the rest, although it was not looked at.
            self.reported |= WRITABLE & !known;
        }
        self.take_woken() || news
    }

    /// Whether the queued data is counted even if there is none. Data that arrives and is taken
    /// between two looks must be reported to outer instances. The call that took it may report long
    /// after a look, and only a count shows whether its data had been reported before.
    const fn counts_always(&self, kind: Kind) -> bool {
        self.tells() && kind.arrivals().is_cumulative()
    }

    /// Whether the registration was woken since the last call. Space that there is now is reported
    /// with the wake-up.
    #[inline]
    pub const fn take_woken(&mut self) -> bool {
        let woken = self.flags.contains(Flags::OUTER_WOKEN);
        if woken {
            self.reported |= WRITABLE;
            self.flags = self.flags.difference(Flags::OUTER_WOKEN);
        }
        woken
    }

    /// Takes in a count of arrivals. A count that grew is an arrival, which wakes the registration
    /// whether or not any of it is left. A count that fell means that a process whose calls are not
    /// seen has read, and the current data may be new.
    pub fn counted(&mut self, count: Count, view: View) {
        let is_high = self.reported & INCOMING != 0;
        let may_change =
            self.is_closing() || self.flags.contains(Flags::RECHECK_COUNT) || self.reported & (INCOMING | ERR) != 0;
        match self.last_count() {
            LastCount::Count(before) if may_change => self.count_changed(before, count, view),
            LastCount::Missed if is_high => {
                // There was no count at the report, and this one may include later arrivals.
                self.reported &= !INCOMING;
                self.evidence = Evidence::Count;
            }
            // No count could be taken at the report. Later ones are compared with this one.
            LastCount::Never if is_high => self.last_count = PackedLastCount::of(count),
            // A closing connection may show no level, but its next state is still a wake-up.
            _ if self.tells() && self.is_closing() => self.last_count = PackedLastCount::of(count),
            _ => {}
        }
        self.flags.remove(Flags::RECHECK_COUNT);
    }

    /// Takes in a count when there is an earlier one.
    fn count_changed(&mut self, before: Count, count: Count, view: View) {
        match count::change(before, count, view.taken_signals) {
            Change::Arrival => {
                self.wake(!0);
                self.evidence = Evidence::Count;
                if self.tells() {
                    self.last_count = PackedLastCount::of(count);
                }
            }
            Change::Loss => {
                (self.reported, self.last_count) = (self.reported & !INCOMING, PackedLastCount::NEVER);
                self.evidence = Evidence::Count;
            }
            Change::Nothing => self.last_count = PackedLastCount::of(count::refined(before, count)),
        }
    }

    /// Takes in a count when everything up to it was taken, and it is at least the count of the
    /// last report: the level was low in between.
    pub fn overtaken(&mut self, count: Count, view: View) {
        self.counted(count, view);
        self.was_low(READABLE);
    }

    /// Whether every change of the count is a wake-up.
    #[inline]
    pub const fn is_closing(&self) -> bool {
        self.flags.contains(Flags::EVERY_CHANGE)
    }

    /// From here on every change of the connection's state, or every signal, is a wake-up.
    #[inline]
    pub const fn follow(&mut self) {
        self.flags = self.flags.union(Flags::EVERY_CHANGE);
    }

    /// From here on changes of the connection's state wake no waiter.
    #[inline]
    pub const fn closed(&mut self) {
        self.flags = self.flags.difference(Flags::EVERY_CHANGE);
    }
}

#[cfg(test)]
mod tests;

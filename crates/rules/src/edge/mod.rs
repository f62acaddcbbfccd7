//! Which change of level is an edge: pure state and functions, without a descriptor.
//!
//! `poll` tells levels. After a level was reported edge-triggered it is *quiet*: left out of the poll set until there is
//! evidence of a new edge. Evidence is that the level was seen low, a fact that a witness reports, or a count of arrivals
//! that grew. So an edge-triggered registration is a level-triggered one whose reported bits sleep, and everything here
//! decides what wakes them (E1 to E6).

mod facts;

use crate::count::{self, Change, TakenSignals};
use crate::events::{Bits, ERR, HUP, IN, INCOMING, OUT, PRI, RDHUP, RDNORM, READABLE, WRITABLE, WRNORM};
use crate::kind::{Arrivals, Kind};

pub use facts::Facts;

/// A count that was not taken, or cannot be.
const UNSEEN: u64 = u64::MAX;
/// A count of datagrams that was asked for at a report, and could not be taken.
const MISSED: u64 = u64::MAX - 1;
/// Nothing was there to count: whatever is taken later has arrived since. Counts are below it.
const NOTHING: u64 = u64::MAX - 2;

/// The first delay before an unexplained level is reported again, in nanoseconds; it doubles each time.
const DOUBT_NS: u64 = 1_000_000;
/// After so many doublings, about a second, the delay stays.
const LAST_DOUBT: u8 = 10;
/// Of what nothing counts the delay stays at 4 ms for so many reports, which is most of a second:
/// the program may have taken everything without a call, and what is there now is new.
const STEADY_DOUBT: u8 = 2;
const STEADY_DOUBTS: u8 = 200;
/// In place of the number of doublings: something was taken since the last report.
const TAKEN: u8 = u8::MAX;
/// How long after that an arrival may go unnoticed that a loose count did not show, in nanoseconds.
const LATE_NS: u64 = 200_000_000;

/// What showed an edge, or will have shown the next one if there is one: for who counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The level had been low.
    Level,
    /// A count of arrivals, while the level was high.
    Count,
    /// A call of this process, while the level was high.
    Call,
    /// Nothing: the level is high, and what arrives there cannot be counted.
    Doubt,
}

/// What a rule has to know of the process.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The program's own calls are seen. Otherwise edges are known from what a ring tells, from levels and from counts only.
    pub sees_calls: bool,
    /// The signals that the process has read from signalfds.
    pub taken_signals: &'a TakenSignals,
}

/// What an edge-triggered registration has to know of its description.
#[derive(Clone, Copy, Debug)]
pub struct Outlook {
    /// What the description is.
    pub kind: Kind,
    /// The level bits that matter to the registration.
    pub watched: Bits,
    /// The program's own calls are seen.
    pub sees_calls: bool,
    /// A unix socket's peer has something to read, and will make room when it does.
    pub departures: bool,
    /// It wakes when it does, whether there is room then or not.
    pub full_peer: bool,
    /// Other processes may be at it, where nobody would tell.
    pub shared: bool,
    /// The peer of a unix socket is gone for good, not only shut down.
    pub orphan: bool,
}

/// The memory of one edge-triggered registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Levels reported, and high as far as we know.
    quiet: Bits,
    /// Somebody wrote or took: the quiet levels are worth one look, for they may have fallen.
    look: bool,
    /// Something was taken: the count is worth one look, for what was taken may have arrived since the last report.
    check: bool,
    /// Every change of the count wakes, whatever it does to the levels: a TCP connection is being closed, which goes through states, or
    /// signals come that a signalfd of an inner instance does not take.
    closing: bool,
    /// It is kept for outer instances, for whom every wake-up counts, whether any level is left of it or not: whether it was woken, and they
    /// were not told yet.
    outer: Option<bool>,
    /// What woke the bits that are awake.
    evidence: Evidence,
    /// How often an unexplained level was reported again.
    doubts: u8,
    /// The count of arrivals at the last report.
    seen: u64,
    /// When an unexplained level is due to be reported again, in nanoseconds of the monotonic clock.
    due: u64,
}

/// The levels behind which an edge can hide where the program's calls are not seen. What arrives on a TCP connection is counted whoever takes
/// it, and what comes from this library is known.
const fn doubtful(kind: Kind) -> Bits {
    match kind {
        Kind::Epoll | Kind::Source | Kind::Notice | Kind::Pressure | Kind::Glimpse => 0,
        Kind::Attribute => ERR | PRI,
        Kind::Tcp => WRITABLE,
        _ => READABLE | WRITABLE,
    }
}

impl Edge {
    /// Nothing reported yet.
    pub const FRESH: Edge = Edge {
        quiet: 0,
        look: false,
        check: false,
        closing: false,
        outer: None,
        evidence: Evidence::Level,
        doubts: 0,
        seen: UNSEEN,
        due: 0,
    };

    /// The same, kept for outer instances.
    pub const fn for_outer(self) -> Edge {
        Edge { outer: Some(false), ..self }
    }

    /// Whether it is kept for outer instances.
    const fn tells(&self) -> bool {
        self.outer.is_some()
    }

    /// What shows that the next report is of an edge.
    pub const fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// Nothing reported yet, on a connection whose end was sent (`shut`): its acknowledgement may still be to come.
    pub const fn anew(shut: bool) -> Edge {
        Edge { closing: shut, ..Edge::FRESH }
    }

    /// The count of arrivals at the last report, or a number that is no count.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

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
    pub fn digest(&mut self, kind: Kind, watched: Bits, facts: Facts, news: bool) {
        if matches!(kind, Kind::Source) {
            let posted = facts.posted_levels() & watched;
            if news && posted != 0 {
                self.wake(posted);
            }
            return;
        }
        if kind.shows_changes() {
            self.digest_change(kind, facts, news);
            return;
        }
        let facts = if news { facts } else { facts.difference(Facts::WROTE) };
        if facts.contains(Facts::WAKE_ALL) {
            if news {
                self.wake(!0);
            } else {
                self.look = true;
            }
            self.closing |= matches!(kind, Kind::Tcp);
            return;
        }
        if facts.contains(Facts::ERRQUEUE_LEFT) {
            self.wake(!0);
        }
        let eventfd = kind.is_eventfd();
        if eventfd && !news && facts.intersects(Facts::READS) {
            // Every writer of this process tells us, so a look settles it.
            self.look = true;
            return;
        }
        if facts.contains(Facts::READ_EAGAIN) {
            self.wake_reader(kind);
        }
        if facts.took() {
            self.check_arrivals(kind, watched, news);
            match kind.arrivals() {
                // As good as empty: the count will say whether what is there is new.
                Arrivals::Received | Arrivals::Queued if facts.contains(Facts::SHORT_READ) => self.was_low(READABLE),
                Arrivals::Received | Arrivals::Queued | Arrivals::Backlog => {}
                Arrivals::Expirations => self.was_low(READABLE),
                // Should the count be refused, what is left counts as news.
                Arrivals::Datagrams | Arrivals::Diagnosed | Arrivals::Memory | Arrivals::Listed => {
                    (self.doubts, self.due) = (0, 0);
                }
                Arrivals::Signals => (self.doubts, self.due) = (TAKEN, 0),
                Arrivals::Witnessed if matches!(kind, Kind::EventfdSemaphore) => self.look = true,
                Arrivals::Witnessed | Arrivals::Unknown => self.wake_reader(kind),
            }
            if eventfd && watched & OUT != 0 {
                self.wake(!0);
            }
        }
        if facts.contains(Facts::WROTE) {
            match kind {
                Kind::Eventfd | Kind::EventfdSemaphore if watched & IN != 0 => self.wake(READABLE),
                // An instance wakes with EPOLLIN and nothing else.
                Kind::Epoll if watched & IN != 0 => self.wake(READABLE),
                // A datagram on its way out frees its buffer, as MPTCP does when it is
                // acknowledged; a terminal takes what it is given.
                Kind::Udp | Kind::Socket | Kind::Mptcp | Kind::Tty if watched & WRITABLE != 0 => self.wake(!0),
                _ => {}
            }
        }
        // What makes room in a full pipe wakes those who wait for that once; who has seen the room already knows.
        let knows = kind.is_pipe() && self.quiet & WRITABLE != 0 && !facts.contains(Facts::FREED_AFTER_NO_SPACE);
        // A pipe wakes with these, a socket with WRBAND besides.
        let room = if kind.is_pipe() { OUT | WRNORM } else { WRITABLE };
        let departed = news && facts.contains(Facts::SPACE_FREED) && watched & room != 0 && !knows;
        let pressed = facts.contains(Facts::WRITER_BLOCKED) && watched & (IN | RDNORM) != 0;
        if departed || pressed {
            self.wake(!0);
        }
        // An eventfd refuses what would overflow it, and has room for less.
        if facts.contains(Facts::NO_SPACE) && eventfd {
            self.look = true;
        } else if facts.contains(Facts::NO_SPACE) {
            self.was_low(WRITABLE);
        }
        if facts.contains(Facts::SO_ERROR_CLEARED)
            && (self.quiet & ERR == 0 || facts.contains(Facts::SO_ERROR_CLEARED_AGAIN))
            && news
        {
            // The error came after the last report, and woke.
            self.wake(!0);
        } else if facts.contains(Facts::SO_ERROR_CLEARED) {
            self.was_low(ERR);
        }
        if facts.intersects(Facts::RECHECK | Facts::SO_ERROR_CLEARED) {
            self.look = true;
        }
    }

    /// The same of a file that shows changes. What it shows until it is read is low after that.
    fn digest_change(&mut self, kind: Kind, facts: Facts, news: bool) {
        if news && facts.contains(Facts::WAKE_ALL) {
            self.wake(!0);
        }
        if matches!(kind, Kind::Attribute) && facts.took() {
            self.was_low(ERR | PRI);
            (self.doubts, self.due) = (0, 0);
        }
    }

    /// After a look at fleeting levels of which these are gone with it. The other levels wake nobody, even where a change hides them for a moment.
    pub const fn passed(&mut self, kind: Kind, gone: Bits) {
        let steady = (READABLE | WRITABLE) & !kind.fleeting();
        self.quiet = (self.quiet | steady) & !gone;
    }

    /// A wake-up that needed no witness, or the report of one, left just this: what was reported.
    pub const fn told(level: Bits) -> Edge {
        Edge { quiet: level, ..Edge::FRESH }
    }

    /// From here on wake-ups are concluded from levels and counts again. `level` is now, and nothing woke since the last report.
    pub fn resume(&mut self, kind: Kind, level: Bits, view: View, count: impl FnOnce() -> Option<u64>) {
        let quiet = self.quiet & level;
        *self = Edge::FRESH;
        self.report(kind, quiet, view, count);
    }

    /// The registration was woken: every level that is high is news, for a report carries them all (W4). Outer instances are told once
    /// for all of them, and what arrives after what was counted is told besides.
    /// If it was none of those `heard` that slept, the level had been low.
    fn wake(&mut self, heard: Bits) {
        let Edge { closing, doubts, due, .. } = *self;
        let evidence = if self.quiet & heard == 0 { self.evidence } else { Evidence::Call };
        let outer = self.outer.map(|_| true);
        let seen = if self.tells() { self.seen } else { UNSEEN };
        *self = Edge { closing, outer, evidence, doubts, due, seen, ..Edge::FRESH };
    }

    /// A level waits for its turn to be reported. Should it be gone by then, it woke the registration all the same, and the levels that
    /// slept are reported. What was readable and is taken by then is counted. True if others had slept.
    pub fn waits(&mut self, level: Bits) -> bool {
        let fresh = self.fresh(level);
        let woken = fresh & !READABLE != 0 && self.quiet != 0;
        if woken {
            self.wake(fresh);
        }
        woken
    }

    /// These levels were low, whatever they are now.
    const fn was_low(&mut self, bits: Bits) {
        self.quiet &= !bits;
        self.evidence = Evidence::Level;
    }

    /// Something was taken. If it arrived since the last report the registration was woken then, and other levels that are high
    /// are to be reported even though nothing is left to read.
    fn check_arrivals(&mut self, kind: Kind, watched: Bits, news: bool) {
        let others = self.tells() || self.quiet & !READABLE != 0;
        if !others || watched & kind.arrives_with() == 0 || !kind.arrivals().is_cumulative() {
            return;
        }
        match self.seen {
            NOTHING if news => self.wake(!0),
            // There was no count when outer instances were told last, so nobody can say that it is what they were told of.
            MISSED if news && self.tells() => self.wake(!0),
            NOTHING | MISSED | UNSEEN => {}
            _ => self.check = true,
        }
    }

    /// The reading side is news again. Counts that fall as the program reads say nothing about before and after.
    fn wake_reader(&mut self, kind: Kind) {
        self.was_low(READABLE);
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
    /// arrivals where the readable level is high, or the connection is being closed. Afterwards the state is as after a report, or
    /// as after a look.
    pub fn report(&mut self, kind: Kind, level: Bits, view: View, count: impl FnOnce() -> Option<u64>) -> bool {
        let fresh = self.fresh(level);
        self.closing |= matches!(kind, Kind::Tcp) && fresh & (HUP | RDHUP) != 0;
        // An instance's descriptor may look readable for a moment, but it tells of every edge.
        self.quiet &= if matches!(kind, Kind::Epoll) { !0 } else { level };
        self.look = false;
        self.evidence = Evidence::Level;
        if !view.sees_calls && level & doubtful(kind) == 0 {
            (self.doubts, self.due) = (0, 0);
        }
        if fresh == 0 {
            return false;
        }
        // Of datagrams one that is missing now is to be had later: an error was pending, or somebody peeked.
        let queued = level & INCOMING != 0 || level & ERR != 0 && kind.queues_errors();
        let missing = match kind.arrivals() {
            _ if !queued => NOTHING,
            Arrivals::Datagrams => MISSED,
            _ => UNSEEN,
        };
        let count =
            if !queued && !self.closing && !self.counts_always(kind) { NOTHING } else { count().unwrap_or(missing) };
        let nothing_arrived = count < NOTHING
            && self.seen < NOTHING
            && matches!(count::change(self.seen, count, view.taken_signals), Change::Nothing);
        if fresh & !READABLE == 0 && nothing_arrived {
            self.quiet |= fresh;
            return false;
        }
        self.check = false;
        self.seen = if count < NOTHING { count::plain(count) } else { count };
        self.quiet = level;
        if self.doubts == TAKEN {
            (self.doubts, self.due) = (0, 0);
        }
        true
    }

    /// Whether an eventfd that is readable rose without any of the calls that add to it: there were
    /// `calls` at the last report, and no more since. Only where these are seen.
    pub fn rose_by_itself(&self, calls: u32) -> bool {
        self.quiet & IN == 0 && self.due == u64::from(calls)
    }

    /// An eventfd is reported after so many calls. Only where these are seen: there it has no doubts, and so no
    /// use for the time of the next one.
    pub fn note_calls(&mut self, calls: u32) {
        self.due = calls.into();
    }

    /// Whether the registration has quiet bits behind which an edge could hide that nobody tells us of. Such a
    /// registration is sampled whenever somebody waits.
    #[inline]
    pub fn is_uneasy(&self, outlook: Outlook) -> bool {
        let Outlook { kind, watched, sees_calls, departures, full_peer, shared, orphan } = outlook;
        let quiet = self.quiet & watched;
        if matches!(kind, Kind::Source) {
            return false;
        }
        if self.closing {
            return true;
        }
        let is_over = !kind.is_unix_data() || (orphan && !departures);
        let hung_up = quiet & HUP != 0 && kind.hangup_is_final() && is_over;
        if hung_up || quiet & ERR != 0 && matches!(kind, Kind::Pipe) {
            return false;
        }
        if !sees_calls && quiet & doubtful(kind) != 0 {
            return true;
        }
        let more = quiet & RDHUP == 0 || matches!(kind, Kind::Udp);
        let arrivals = quiet & READABLE != 0 && more && (!kind.arrivals().is_private() || shared);
        arrivals
            || quiet & (ERR | HUP | PRI) != 0
            || (departures && quiet & WRITABLE != 0)
            || (departures && full_peer && (quiet != 0 || self.tells()))
            || self.look
            || self.check
    }

    /// Whether a look at the levels is needed to go on sleeping, rather than a count alone.
    pub const fn wants_look(&self) -> bool {
        self.look || self.quiet & (ERR | HUP | PRI) != 0
    }

    /// The same, where no count shows what is there: it may be taken without a call.
    pub const fn wants_look_uncounted(&self) -> bool {
        self.wants_look() || self.quiet & READABLE != 0
    }

    /// Whether a count is all that it wants, and one to be taken only if the next look does not show it: what arrives shows, unless it
    /// was taken, and a report brings all the levels that are high.
    pub const fn may_show(&self) -> bool {
        self.check && !self.closing && !self.wants_look() && self.quiet & READABLE == 0
    }

    /// What was hung up has begun anew, which wakes everybody.
    pub fn begun_anew(&mut self) {
        self.wake(!0);
    }

    /// Takes in a look at the quiet levels: one that has fallen is awake again. A FIFO's hang-up
    /// falls when a writer opens it, which wakes everybody.
    pub fn looked(&mut self, kind: Kind, level: Bits) {
        if self.quiet & !level & HUP != 0 && matches!(kind, Kind::Fifo) {
            self.wake(!0);
        }
        if self.quiet & !level & READABLE != 0 && self.doubts != TAKEN {
            // Whatever comes next is new, and so may be what comes after it.
            (self.doubts, self.due) = (0, 0);
        }
        if !matches!(kind, Kind::Epoll) {
            self.quiet &= level;
        }
        if matches!(kind, Kind::Attribute) && level & ERR == 0 {
            (self.doubts, self.due) = (0, 0);
        }
        self.look = false;
    }

    /// There is no room at present: when there is, that is news.
    pub const fn lacks_room(&mut self) {
        self.quiet &= !WRITABLE;
    }

    /// As [`Self::report`], for outer instances: whether there is something to tell them, given that only the bits `known` of the
    /// level were looked at.
    pub fn announce(
        &mut self,
        kind: Kind,
        level: Bits,
        known: Bits,
        view: View,
        count: impl Fn() -> Option<u64>,
    ) -> bool {
        if self.check
            && let Some(count) = count()
        {
            // What was taken may have come since it was told last, which shows no more.
            self.counted(count, view);
        }
        let look = self.look && self.quiet & !known != 0;
        let news = self.report(kind, level & known | self.quiet & !known, view, &count);
        self.look = look;
        if self.seen >= MISSED && known & (IN | RDNORM) != 0 && self.quiet & INCOMING == 0 && self.counts_always(kind) {
            self.seen = count().map_or(NOTHING, count::plain);
        }
        if news {
            // Told with the rest, though not looked at.
            self.quiet |= WRITABLE & !known;
        }
        self.take_woken() || news
    }

    /// Whether what is there is counted even if that is nothing. Of what comes and is taken between two looks outer instances are to be told,
    /// and a call that takes may tell of it long after a look: only a count says whether what it took had been told.
    const fn counts_always(&self, kind: Kind) -> bool {
        self.tells() && kind.arrivals().is_cumulative()
    }

    /// Whether it was woken since it was asked last. Room that there is now is told with it.
    pub const fn take_woken(&mut self) -> bool {
        let woken = matches!(self.outer, Some(true));
        if woken {
            self.quiet |= WRITABLE;
            self.outer = Some(false);
        }
        woken
    }

    /// Takes in a count of arrivals. One that grew is an arrival, which wakes the registration whether anything of it is left or
    /// not; one that fell means that somebody reads behind our back, and what is there now may be new.
    pub fn counted(&mut self, count: u64, view: View) {
        if self.seen < NOTHING && (self.closing || self.check || self.quiet & (INCOMING | ERR) != 0) {
            match count::change(self.seen, count, view.taken_signals) {
                Change::Arrival => {
                    self.wake(!0);
                    self.evidence = Evidence::Count;
                    if self.tells() {
                        self.seen = count::plain(count);
                    }
                }
                Change::Loss => {
                    (self.quiet, self.seen) = (self.quiet & !INCOMING, UNSEEN);
                    self.evidence = Evidence::Count;
                }
                Change::Nothing => self.seen = count::refined(self.seen, count),
            }
        } else if self.seen == MISSED && self.quiet & INCOMING != 0 {
            // There was no count at the report, and what came since is in this one.
            self.quiet &= !INCOMING;
            self.evidence = Evidence::Count;
        } else if self.seen == UNSEEN && self.quiet & INCOMING != 0 {
            // There was nothing to count by at the report: from here on there is.
            self.seen = count::plain(count);
        } else if self.tells() && self.closing {
            // No level need be left of what is closed, and the next state wakes all the same.
            self.seen = count::plain(count);
        }
        self.check = false;
    }

    /// Takes in a count up to which everything was taken, and which is no lower than that at the last report: the level was low in between.
    pub fn overtaken(&mut self, count: u64, view: View) {
        self.counted(count, view);
        self.was_low(READABLE);
    }

    /// Whether the states of a TCP connection are followed.
    pub const fn is_closing(&self) -> bool {
        self.closing
    }

    /// The states that the connection goes through from here on wake, or any signal.
    pub const fn follow(&mut self) {
        self.closing = true;
    }

    /// The states that the connection can still go through wake nobody.
    pub const fn closed(&mut self) {
        self.closing = false;
    }

    /// Where the program's calls are not seen: whatever they took may have come again since, and no count shows it. The same where a change shows
    /// until it is read: the next one shows in nothing.
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
        self.seen = UNSEEN;
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

    /// After a count that others' doings change as well, and which so may not show an arrival: if something was taken and more is there, that is
    /// reported after a while, once.
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

    /// For kinds without a count: an unread level is reported again, at once the first time and then ever later. Spurious,
    /// where the kernel would stay silent, but no arrival is lost.
    pub fn doubted(&mut self, kind: Kind, now: u64) {
        self.check = false;
        if self.doubts == TAKEN {
            self.doubts = 0;
        }
        if self.quiet & READABLE != 0 && now >= self.due {
            self.doubt(kind, READABLE, now);
        }
    }
}

#[cfg(test)]
mod tests;

//! The decisions about the events of a report.

use arrayvec::ArrayVec;
use epolyfill_audit::{FileId, Mirror};
use epolyfill_chaos::{Decision, Kind as Chaos, Place, Plan};
use epolyfill_facts::{Event, Kind, NO_FD, Reason};
use epolyfill_rules::events::{ERR, HUP, IN, RDHUP};
use libc::epoll_event;

use super::state::{Candidate, State};
use crate::sys;

/// The most events of a report that are perturbed; those after them stay as they are.
pub const MOST: usize = 64;

/// An event as it may lie in memory.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct Packed(pub epoll_event);

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is reported as it is.
    Keep,
    /// It goes back.
    Hold,
    /// It goes back, and reports nothing for so many nanoseconds of this wait.
    Delay(u64),
    /// It goes back, and what is reported of it now is not the end.
    Part,
    /// It is that of a registration that is masked, by EPOLLERR or EPOLLHUP, and is shown with the
    /// rest.
    Uncover,
}

/// A change of an event.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    pub change: Change,
    pub candidate: Candidate,
    /// Not there for [`Change::Uncover`].
    pub decision: Option<Decision>,
}

/// The changes of a report, by the index of the event.
pub type Edits = ArrayVec<Option<Edit>, MOST>;

/// The wait that reports.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub instance: FileId,
    pub place: Place,
    pub began_ns: u64,
}

/// The longest delay of an arrival.
const LONGEST_DELAY_NS: u64 = 20_000_000;

fn event_of(packed: &Packed) -> Event {
    let event = packed.0;
    Event { bits: event.events, fd: NO_FD, data: event.u64, reason: Reason::Unknown }
}

/// Whether the peer is behind a network, which may take its time.
fn is_network(kind: Kind) -> bool {
    matches!(kind, Kind::Tcp | Kind::Udp | Kind::TcpListener)
}

impl State {
    /// The events of a report as candidates.
    pub fn candidates(
        &mut self,
        mirror: &Mirror,
        frame: Frame,
        events: &[Packed],
    ) -> ArrayVec<Option<Candidate>, MOST> {
        let considered = &events[..events.len().min(MOST)];
        let candidate = |packed| self.candidate(mirror, frame.instance, frame.began_ns, event_of(packed));
        considered.iter().map(candidate).collect()
    }

    /// Decides about each event of a report. At least one is reported, unless all are delayed.
    pub fn edit(&mut self, plan: &Plan, mirror: &Mirror, frame: Frame, events: &[Packed]) -> Edits {
        let candidates = self.candidates(mirror, frame, events);
        let mut edits: Edits = candidates.iter().map(|_| None).collect();
        let mut reported = events.len();
        for (at, candidate) in candidates.into_iter().enumerate() {
            let Some(candidate) = candidate else { continue };
            let place = Place { registration: candidate.registration.1, ..frame.place };
            let bits = event_of(&events[at]).bits;
            let (change, decision) = if self.is_masked(candidate.registration) {
                (Change::Uncover, None)
            } else if let Some((change, decision)) = self.decide(plan, mirror, place, &candidate, bits, reported > 1) {
                (change, Some(decision))
            } else {
                continue;
            };
            reported -= usize::from(change != Change::Part);
            edits[at] = Some(Edit { change, candidate, decision });
        }
        if reported > 0 {
            // Others are reported now, so what is delayed comes with a later wait.
            for edit in edits.iter_mut().flatten() {
                if matches!(edit.change, Change::Delay(_)) {
                    edit.change = Change::Hold;
                }
            }
        }
        edits
    }

    fn decide(
        &mut self,
        plan: &Plan,
        mirror: &Mirror,
        place: Place,
        candidate: &Candidate,
        bits: u32,
        has_others: bool,
    ) -> Option<(Change, Decision)> {
        let is = |wanted: u16| bits & u32::from(wanted) != 0;
        // An error can come from a call of the program.
        if !is(IN) || is(ERR) || !self.is_outside(mirror, candidate) {
            return None;
        }
        let with = |kind, change: fn(u64) -> Change, most| {
            let amount = plan.decide(kind, place, most)?;
            Some((change(amount), Decision { kind, place, amount }))
        };
        if self.may_hold(mirror, candidate) {
            let delay = || with(Chaos::Delay, Change::Delay, LONGEST_DELAY_NS);
            let few = || with(Chaos::Few, |_| Change::Hold, 1);
            let held = is_network(candidate.kind).then(delay).flatten().or_else(|| has_others.then(few).flatten());
            if held.is_some() {
                return held;
            }
        }
        let has_end = is(RDHUP | HUP) && candidate.kind == Kind::Tcp && !self.is_end_known(candidate);
        let has_data = || sys::ioctl_int(candidate.fd, libc::FIONREAD).is_ok_and(|bytes| bytes > 0);
        (has_end && has_data()).then(|| with(Chaos::CloseParts, |_| Change::Part, 1)).flatten()
    }
}

//! The decision about one registration whose turn has come: the bits that it reports, by its level
//! (W3, W7), by its claim if it is exclusive (X1), and by its edges (W4, E1 to E6). Kernel
//! counterpart: `ep_item_poll`, where a wake-up has made that decision before.

use crate::INTERPOSES;
use crate::edge::Edge;
use crate::events::{Bits, IN, NVAL, WRITABLE, levels};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::exclusive;
use crate::graph::file::{File, Look, READABLE_INSTANCE};
use crate::kind::Kind;
use crate::probe::fleeting;
use crate::probe::observe::{self, LookedBy, Polled};
use crate::probe::sample;
use crate::sys;

/// The bits to report of a registration; 0 if its level is gone (W7) or is not an edge. `in_turn`
/// is false for a look outside its turn, which takes nothing from the file.
#[doc(alias = "ep_item_poll")]
#[inline]
pub fn reportable(st: &mut EpState, item: &'static Epitem, in_turn: bool) -> Bits {
    let Some(file) = item.file() else { return 0 };
    let (look, passing) = look(st, item, file, in_turn);
    let state = item.at(&st.held);
    let level = look.level & state.watched(file);
    let bits = level & levels(state.events.get());
    // A level that the look took is not shown to other instances, and `claims` would not find it
    // again.
    let is_exclusive = state.is_exclusive() && file.kind().fleeting() == 0;
    if is_exclusive && !may_report(st, item, file, level, bits) {
        return 0;
    }
    let state = item.at(&st.held);
    if bits == 0 && file.is_instance() {
        if in_turn {
            // The registration reports again after the next wake-up.
            state.edge.set(Edge::after_report(READABLE_INSTANCE));
        }
        return 0;
    }
    if level & WRITABLE == 0 && file.has_other_edges(state.tracked.get()) && file.kind() == Kind::Tcp {
        observe::lacks_space(file, sys::level(item.via(), WRITABLE), state.tracked.get());
    }
    if !state.is_edge() {
        return bits;
    }
    if st.tells_edges_of(item) {
        st.reported_by_signal(item, file, level);
        report_completion(state, file, level);
        return bits;
    }
    tell_others(item, state, file, level, bits);
    let is_edge = is_edge(item, state, file, Look { level, ..look }, passing);
    if !is_edge && is_exclusive {
        exclusive::release(file, item);
    }
    if is_edge { bits } else { 0 }
}

/// Looks at the file: by its operations, or by the poll that was made for the report. The second
/// part is the levels that the look has cleared, on files that show a change once.
#[inline]
fn look(st: &EpState, item: &Epitem, file: &'static File, in_turn: bool) -> (Look, Option<Bits>) {
    match file.ops() {
        // The look outside the turn has polled the instance's pipe, and the level is low.
        Some(ops) if ops.is_instance && !in_turn && item.level(&st.held) == 0 => (Look::polled(0), None),
        Some(ops) => ((ops.look)(file, in_turn), None),
        None if file.kind().fleeting() != 0 => {
            let (level, passing) = look_at_fleeting(item, file, in_turn);
            (Look::polled(level), Some(passing))
        }
        None => (Look::polled(item.level(&st.held)), None),
    }
}

/// Looks at a file that shows a change once. Only the look of a registration in its turn takes the
/// change.
fn look_at_fleeting(item: &Epitem, file: &'static File, in_turn: bool) -> (Bits, Bits) {
    if in_turn {
        let shown = fleeting::take(file, item.via());
        return (shown.level, shown.passing);
    }
    let level = fleeting::peek(file, item.via()) & !NVAL;
    (level, level & file.kind().fleeting())
}

/// Whether an exclusive registration may go on to its edge rule with this level (X1).
fn may_report(st: &mut EpState, item: &'static Epitem, file: &'static File, level: Bits, bits: Bits) -> bool {
    if bits == 0 {
        // The level is not in the mask, but wakes the registration; the edge rule marks it as reported.
        exclusive::release(file, item);
        return true;
    }
    let state = item.at(&st.held);
    let was_reported = state.is_edge() && state.edge.get().fresh(level) == 0;
    was_reported || claims(st, item, file, bits)
}

/// Claims the event for an exclusive registration; false if another instance has it. The level is
/// read again under the claim, because another instance may have reported the event since the poll,
/// and the program may have consumed it.
fn claims(st: &mut EpState, item: &'static Epitem, file: &'static File, bits: Bits) -> bool {
    let state = item.at(&st.held);
    if state.newcomer.get() {
        let lasts = file.level(item.via(), bits) & bits != 0;
        state.newcomer.set(lasts && !state.is_edge());
        if !lasts {
            st.refresh(item);
        }
        return lasts;
    }
    if !file.claim().take(item) {
        st.refresh(item);
        return false;
    }
    let lasts = file.level(item.via(), bits) & bits != 0;
    if !lasts {
        exclusive::release(file, item);
    }
    lasts
}

/// Records the report of a completion as an edge. The completion stands for a wake-up, and nothing
/// else puts the registration on the ready list.
fn report_completion(state: &State, file: &File, level: Bits) {
    state.edge.set(Edge::after_report(level));
    // For the facts of calls in progress, which matter again after the instance leaves the ring.
    state.reported_at.set(file.clock());
}

/// Reports the result of this look to the other registrations of the file.
fn tell_others(item: &Epitem, state: &State, file: &'static File, level: Bits, bits: Bits) {
    // A reported level is assumed to be high, and a registration that shows nothing may not have been
    // polled.
    let low = if bits == 0 { 0 } else { state.watched(file) & !level };
    let high = state.edge.get().fresh(level);
    observe::observe(file, item.via(), Polled { by: LookedBy::Report, high, low, tracked: state.tracked.get() });
}

/// The edge rule: whether the level is news, in which case it becomes the last one reported.
fn is_edge(item: &Epitem, state: &State, file: &'static File, look: Look, passing: Option<Bits>) -> bool {
    let Look { level, at, .. } = look;
    let watched = state.watched(file);
    let mut edge = state.edge.get();
    let clock = at.unwrap_or_else(|| file.clock());
    let eventfd = file.eventfd().filter(|_| INTERPOSES);
    let adds = eventfd.map(|_| sample::calls_that_add(file));
    if let Some(eventfd) = eventfd
        && level & IN != 0
        && adds.is_some_and(|calls| edge.rose_by_itself(calls))
    {
        eventfd.note_unseen_add();
    }
    let last = edge.last_count();
    let is_edge = edge
        .report(file.kind(), level, sample::VIEW, || sample::count_at_report(file, item.via(), watched, level, last));
    if let Some(calls) = adds.filter(|_| is_edge) {
        edge.note_calls(calls);
    }
    if let Some(gone) = passing {
        edge.passed(file.kind(), gone);
    }
    state.edge.set(edge);
    if is_edge {
        state.reported_at.set(clock);
        if watched & WRITABLE != 0 {
            observe::note_outgoing(file, item.via());
        }
    }
    is_edge
}

#[cfg(test)]
mod tests {
    use crate::instance::send_events;
    use crate::instance::testing::{EXCLUSIVE, Epoll, IN, post, source};

    #[test]
    fn one_of_two_exclusive_instances_reports_an_event() {
        // X1.
        let (one, other, a) = (Epoll::new(), Epoll::new(), source());
        one.add(&a, IN | EXCLUSIVE);
        other.add(&a, IN | EXCLUSIVE);
        post(&a, IN);
        one.learn();
        other.learn();
        assert_eq!(one.report(1), [(IN, a.0)]);
        assert_eq!(other.report(1), []);
    }

    #[test]
    fn an_event_is_left_to_other_instances_by_a_wait_that_has_not_taken_it() {
        // X1: over time all instances get their share.
        let (one, other, a) = (Epoll::new(), Epoll::new(), source());
        one.add(&a, IN | EXCLUSIVE | crate::instance::testing::ET);
        other.add(&a, IN | EXCLUSIVE);
        post(&a, IN);
        one.learn();
        assert_eq!(one.report(1), [(IN, a.0)]);
        assert_eq!(other.wait(), []);
        send_events::give_up_claims(&mut one.lock());
        assert_eq!(other.wait(), [(IN, a.0)]);
    }
}

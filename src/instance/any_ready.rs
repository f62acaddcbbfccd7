//! Whether a wait would report something, for the level of the epoll descriptor (N1). Kernel
//! counterpart: `__ep_eventpoll_poll`.

use crate::events::NVAL;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::file::File;
use crate::instance::item_poll;
use crate::instance::second_look::look_again;
use crate::instance::send_events::{leave_one_waiting, refresh_edge, unlist};

/// Whether a wait would report a registration on the ready list now. The search ends at the first
/// one; with `all`, after a poll, it looks at the others as well. Registrations that a wait would
/// not report leave the list. Nothing is reported, and nothing changes for a later wait, except in
/// inner instances if this is the turn of this one.
#[doc(alias = "__ep_eventpoll_poll")]
pub fn anything(st: &mut EpState, all: bool, in_turn: bool) -> bool {
    let mut turns = st.ready.list.len();
    let mut looked = 0;
    let mut any = false;
    let mut passed_over = 0;
    while turns > 0 && (all || !any) {
        if all && looked == 0 {
            looked = look_again(st, turns);
        }
        let Some(item) = st.ready.list.pop_front() else { break };
        turns -= 1;
        looked = looked.saturating_sub(1);
        if !all {
            look_at(st, item);
        }
        if !would_report(st, item, in_turn) {
            if !in_turn && may_stay(st, item) {
                st.ready.list.push_back(item);
                passed_over += usize::from(!all);
            } else {
                unlist(st, item);
            }
            continue;
        }
        any = true;
        if all {
            st.ready.list.push_back(item);
        } else {
            st.ready.list.push_front(item);
        }
    }
    st.ready.list.put_before(passed_over);
    any
}

/// Whether a registration stays on the ready list although it would not be reported. The
/// registration of an inner instance does: its turn removes from that instance's list the items
/// that are not ready, and may find it ready again.
fn may_stay(st: &EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    state.alive.get() && !state.spent.get() && item.file().is_some_and(File::is_instance)
}

/// Whether a wait would report this registration now, by a look of its own.
pub fn proves_ready(st: &mut EpState, item: &'static Epitem) -> bool {
    look_at(st, item);
    would_report(st, item, false)
}

fn look_at(st: &EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    // The number of a registration that has ended may name another file.
    if let Some(file) = item.file().filter(|_| state.alive.get()) {
        item.set_level(&st.held, file.level(item.via(), state.watched(file)) & !NVAL);
    }
}

fn would_report(st: &mut EpState, item: &'static Epitem, in_turn: bool) -> bool {
    let state = item.at(&st.held);
    if !state.alive.get() || state.spent.get() || state.is_parked() {
        return false;
    }
    let before = state.memory();
    let ready = item_poll::reportable(st, item, in_turn) != 0;
    if ready {
        let state = item.at(&st.held);
        state.restore(before);
        leave_one_waiting(item, state, item.level(&st.held));
    }
    // After the memory is restored: facts that came in meanwhile must not be lost with the report.
    refresh_edge(st, item);
    ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{ET, Epoll, IN, clear, post, source};

    #[test]
    fn a_look_from_outside_leaves_the_event_to_the_next_wait() {
        // N1, N2: readable exactly while a wait would report something, which the look does not
        // consume.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | ET);
        post(&a, IN);
        ep.learn();
        assert!(anything(&mut ep.lock(), false, false));
        assert_eq!(ep.report(1), [(IN, a.0)]);
        assert!(!anything(&mut ep.lock(), false, false));
    }

    #[test]
    fn a_registration_that_is_not_ready_leaves_the_list_at_a_look() {
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN);
        post(&a, IN);
        ep.learn();
        clear(&a, IN);
        assert!(!anything(&mut ep.lock(), false, false));
        assert!(ep.lock().ready.list.is_empty());
    }
}

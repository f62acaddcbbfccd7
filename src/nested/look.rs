//! A look at an instance from outside: whether a wait on it would report something now (N1). Kernel
//! counterpart: `ep_eventpoll_poll`.

use super::attend;
use super::observers;
use crate::events::{Bits, NVAL, levels};
use crate::facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{File, Look, READABLE_INSTANCE};
use crate::graph::outer::{Observers, Pipe};
use crate::graph::woken_list::WokenList;
use crate::instance::any_ready;
use crate::instance::parked;
use crate::instance::send_events;
use crate::lock;
use crate::poll_batch::{PollBatch, WINDOW};
use crate::probe::fleeting;

/// The result of a look at an instance. The instance's lock is held while outer instances are
/// informed, so the clock is that of the look, unless the lock could not be taken.
fn shown(ep: &'static Eventpoll, ready: bool, needs_resample: bool) -> Look {
    let level = if ready { READABLE_INSTANCE } else { 0 };
    Look { level, at: Some(ep.file().map_or(0, File::clock)), needs_resample }
}

/// Whether a wait on the instance would report something now. The look is in its turn: as in the
/// kernel, it removes the items at the front of the list that show nothing. The lock of an outer
/// instance is held.
pub(super) fn is_ready(ep: &'static Eventpoll) -> bool {
    look(ep, true).level != 0
}

/// Like `is_ready`, but out of turn: removes nothing.
pub(super) fn seems_ready(ep: &'static Eventpoll) -> bool {
    look(ep, false).level != 0
}

/// Looks at an instance for a thread that holds none of the library's locks, unless it is in a
/// signal handler.
pub fn look_from_outside(ep: &'static Eventpoll) -> Look {
    if lock::interrupted() { peek(ep) } else { look(ep, true) }
}

/// Looks at an instance: at all registrations if it is followed, otherwise up to the first that is
/// ready. A look in its turn (`in_turn`) removes the items at the front of the list that show
/// nothing. The lock of an outer instance may be held: if a fork waits for that lock, this look
/// gives up on the inner one.
pub(super) fn look(ep: &'static Eventpoll, in_turn: bool) -> Look {
    let taken = ep.lock_while(|| !facts::is_forking());
    let Some(mut st) = taken else { return shown(ep, true, true) };
    let st = &mut *st;
    observers::expose(ep, st, Observers::ForLevels);
    if !st.outer.is_followed() && attend::is_known_ready(ep, st, in_turn) {
        return shown(ep, true, false);
    }
    attend::attend(ep, st);
    if parked::look_at_parked(st) {
        attend::attend(ep, st);
    }
    if in_turn {
        pass_silent_items(st);
        if !st.outer.is_followed() && !st.items.inner.is_empty() {
            // An inner instance that was woken and shows nothing needs another wake-up.
            attend::is_known_ready(ep, st, true);
        }
        if st.outer.pipe == Pipe::Lingering && st.ready.list.is_empty() {
            attend::clear_pipe(ep, st);
        }
    }
    let is_readable = st.outer.pipe == Pipe::Readable;
    if in_turn && is_readable && st.items.fleeting > 0 && !st.outer.is_followed() {
        // Additional looks by the library found it ready. This look takes the levels that a look
        // takes away.
        any_ready::anything(st, false, true);
    }
    // The pipe does not show the items that the waiting threads have yet to take.
    let ready = is_readable || (!st.closed && attend::is_waited_on(st) && would_find_any(st));
    shown(ep, ready, st.outer.needs_resample)
}

/// Looks at an instance in a signal handler that interrupted the library. The interrupted code may
/// hold any lock, including those under which a registration ends or is parked. So the look changes
/// nothing, except that it may raise the level of the descriptor. An instance whose lock is taken
/// shows the level of its pipe.
fn peek(ep: &'static Eventpoll) -> Look {
    let Some(mut st) = ep.lock_while(|| false) else { return shown(ep, true, true) };
    if st.outer.pipe == Pipe::Empty && st.items.interest.iter().any(|item| would_be_found(&st, item.get())) {
        attend::show_readable(ep, &mut st);
    }
    shown(ep, st.outer.pipe != Pipe::Empty, true)
}

fn would_be_found(st: &EpState, item: &'static Epitem) -> bool {
    let Some(asked) = asked_in_a_wait(st, item) else { return false };
    let Some(file) = item.file() else { return false };
    let level = match file.eventpoll() {
        Some(inner) if peek(inner).level != 0 => READABLE_INSTANCE,
        Some(_) => 0,
        None => file.level(item.via(), asked) & !NVAL,
    };
    level & asked != 0
}

/// The levels for which a wait would report the registration.
fn asked_in_a_wait(st: &EpState, item: &Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    let file = item.file().filter(|_| state.alive.get() && !state.spent.get())?;
    if state.ready.get() { Some(state.watched(file)) } else { st.bits_to_ask(item, file) }
}

/// Whether a wait would find something now. Does not touch the poll set, on which a thread may be
/// asleep.
fn would_find_any(st: &EpState) -> bool {
    let is_ours = |item: &Epitem| item.file().is_some_and(|file| !file.is_polled());
    st.items.interest.chunks(WINDOW).any(|items| {
        let mut window = PollBatch::<Bits, WINDOW>::new();
        for item in items.iter().filter(|item| !is_ours(item.get())) {
            if let Some(asked) = asked_in_a_wait(st, item.get()) {
                window.add(asked, item.get().via(), asked);
            }
        }
        let shows = window.look().any(|(asked, found)| found & asked != 0 && found & NVAL == 0);
        shows || items.iter().any(|item| is_ours(item.get()) && would_be_found(st, item.get()))
    })
}

/// Removes the items at the front of the list that show nothing, up to the first that shows
/// something.
#[doc(alias = "__ep_eventpoll_poll")]
fn pass_silent_items(st: &mut EpState) {
    while let Some(item) = st.ready.woken.first(&st.held) {
        if would_stop(st, item) {
            return;
        }
        WokenList::leave(item, &st.held);
        if item.file().is_some_and(File::is_instance) {
            send_events::pass(st, item);
        }
    }
}

/// Whether a registration shows something, so that a look stops at it.
fn would_stop(st: &EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    let Some(file) = item.file().filter(|_| state.alive.get() && !state.spent.get()) else { return false };
    let asked = levels(state.events.get());
    match file.eventpoll() {
        Some(inner) => asked & READABLE_INSTANCE != 0 && is_ready(inner),
        None if file.kind().fleeting() != 0 => fleeting::take(file, item.via()).level & asked != 0,
        None => file.level(item.via(), asked) & asked != 0,
    }
}

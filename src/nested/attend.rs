//! Care for an observed instance while no thread waits on it: its silent registrations are with the
//! watchers, and its descriptor is readable exactly when a wait would report something.

use arrayvec::ArrayVec;

use super::announce;
use crate::backend::watch;
use crate::events::NVAL;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::outer::Pipe;
use crate::instance::any_ready;
use crate::instance::resample::{self, Extent};
use crate::instance::send_events;
use crate::poll_batch::WINDOW;
use crate::probe::fleeting;
use crate::sys;

/// Whether the instance is observed and has no waiting thread, which would attend to it.
fn is_unattended(st: &EpState) -> bool {
    st.outer.is_observed() && !st.closed && !is_waited_on(st)
}

/// Whether a thread waits on the instance.
pub(super) fn is_waited_on(st: &EpState) -> bool {
    st.queue.poller.is_some() || !st.queue.waiters.is_empty()
}

/// Whether an item on the ready list is still ready. If so, the descriptor shows it, and nothing
/// else needs a look.
pub(super) fn is_known_ready(ep: &'static Eventpoll, st: &mut EpState, in_turn: bool) -> bool {
    let ready = is_unattended(st) && any_ready::anything(st, false, in_turn);
    if ready {
        show_readable(ep, st);
    }
    announce::announce_news(ep, st);
    ready
}

/// Updates the descriptor's level after a registration was removed.
pub(super) fn settle(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.pipe != Pipe::Empty && !is_known_ready(ep, st, false) {
        attend(ep, st);
    }
}

/// Attends to a registration that was added or changed, and updates the descriptor's level.
pub(super) fn attend_to(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) {
    if !is_unattended(st) {
        return;
    }
    let found = st.backend.set.look_at(item, &st.held);
    if fleeting::found_on(item, found) {
        ep.absorb(st);
    }
    if found & NVAL != 0 || item.file().is_none_or(File::is_instance) {
        attend(ep, st);
        return;
    }
    if st.outer.is_followed() && item.at(&st.held).slot.get() != 0 {
        if found != 0 {
            announce::note_others_woken(st, item);
        }
        let asked = st.backend.set.asked(item, &st.held);
        announce::note_news(st, item, asked, found);
        announce::announce_news(ep, st);
    }
    if found != 0 {
        st.note_ready(item);
        if any_ready::proves_ready(st, item) {
            show_readable(ep, st);
            return;
        }
    }
    if item.at(&st.held).ready.get() {
        // It was ready before, or the level is not news.
        attend(ep, st);
        return;
    }
    st.outer.needs_resample |= item.at(&st.held).to_resample.get();
    if (st.outer.is_followed() || st.outer.pipe == Pipe::Empty) && is_idle(st, item) {
        st.outer.needs_resample |= watch::park(st, std::iter::once(item)) == 0;
    }
}

/// Does the work of a waiting thread for an observed instance: looks once, hands the silent
/// registrations to the watchers, and updates the descriptor's level. Does nothing while a thread
/// waits. While the instance is ready it needs no watcher, unless it is followed: it stays ready
/// until a look finds that it is not.
pub(super) fn attend(ep: &'static Eventpoll, st: &mut EpState) {
    if !is_unattended(st) || (!st.outer.is_followed() && is_known_ready(ep, st, false)) {
        return;
    }
    let outer_woken = ep.take_outer_wake();
    ep.absorb(st);
    st.outer.needs_resample = resample::sample_and_absorb(ep, st, Extent::All).is_some();
    sys::look(st.backend.set.poll_with(-1));
    if fleeting::found_in_set(st) {
        ep.absorb(st);
    }
    let descriptors = st.backend.set.len();
    st.stats.polled(descriptors);
    if st.outer.is_followed() {
        announce::after_poll(ep, st);
    }
    // The next wait handles numbers that vanished.
    let _ = send_events::collect(st);
    let any = any_ready::anything(st, st.outer.is_followed(), false);
    send_events::leave_waiting(st);
    if st.outer.is_followed() || !any {
        // A look at the descriptor has to include the registrations that no watcher takes.
        st.outer.needs_resample |= !park_the_rest(st);
    }
    if any {
        show_readable(ep, st);
    } else {
        if outer_woken && st.outer.pipe == Pipe::Empty {
            st.outer.pipe = Pipe::Readable;
        }
        if st.outer.pipe != Pipe::Empty && !st.ready.list.is_empty() {
            // An item on the ready list that is not ready stays there until a look from above finds
            // that it is not.
            st.outer.pipe = Pipe::Lingering;
        } else {
            clear_pipe(ep, st);
        }
    }
}

/// Whether a registration can be handed to a watcher.
fn is_idle(st: &EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    let vanished = st.backend.set.revents(item, &st.held) & NVAL != 0;
    let polled = state.slot.get() != 0 && !state.is_parked();
    polled && !state.ready.get() && !state.to_resample.get() && !vanished
}

/// Hands the registrations that are neither ready nor on the resample list to the watchers. False
/// if there are not enough watchers.
fn park_the_rest(st: &mut EpState) -> bool {
    loop {
        let idle = st.backend.set.silent(usize::MAX, true).map(|(_, item)| item).filter(|item| is_idle(st, item));
        let batch: ArrayVec<_, WINDOW> = idle.take(WINDOW).collect();
        if watch::park(st, batch.iter().copied()) < batch.len() {
            return false;
        }
        if !batch.is_full() {
            return true;
        }
    }
}

/// Makes the descriptor readable by a byte that the lock holder writes itself: the byte that
/// `wake_observers` put into the pipe may be gone already.
pub(super) fn show_readable(ep: &'static Eventpoll, st: &mut EpState) {
    if std::mem::replace(&mut st.outer.pipe, Pipe::Readable) == Pipe::Empty {
        ep.show_readable();
    }
}

/// Empties the pipe, because nothing is ready. If a hook has put an item into the inbox since it
/// was emptied, the hook's byte may be gone as well. Another byte then makes the threads that poll
/// the descriptor look again.
pub(super) fn clear_pipe(ep: &'static Eventpoll, st: &mut EpState) {
    let outer_woken = ep.take_outer_wake();
    if outer_woken || st.outer.pipe != Pipe::Empty {
        st.outer.pipe = Pipe::Empty;
        let mut bytes = [0; 256];
        while sys::read(ep.number(), &mut bytes) == Ok(bytes.len()) {}
        if ep.has_mail() && is_unattended(st) {
            show_readable(ep, st);
            st.outer.pipe = Pipe::Lingering;
        }
    }
}

//! Wake-ups inside a followed instance, each of which is an edge of its descriptor (N2). They are
//! remembered apart from the instance's own edges, in `State::announced`. Kernel counterpart:
//! `ep_poll_safewake`.

use super::attend;
use super::look;
use crate::edge::{Edge, Facts};
use crate::events::{Bits, ERR, HUP, NVAL, WRITABLE, levels};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{File, READABLE_INSTANCE};
use crate::graph::woken_list::WokenList;
use crate::instance::resample::{self, Extent};
use crate::kind::Kind;
use crate::probe::observe::{self, LookedBy, Polled};
use crate::probe::sample;

/// Announces the finds of the last poll and the facts from hooks: each wake-up of a registration
/// that was not announced yet is an edge of the epoll descriptor, even if its cause is gone by now
/// (N2).
pub(super) fn after_poll(ep: &'static Eventpoll, st: &mut EpState) {
    let fired = |slot| st.backend.set.entry(slot).filter(|(.., found)| *found != 0).map(|(item, ..)| item);
    if let Some(item) = (1..=st.backend.set.len()).filter_map(fired).find(|item| wakes_beside(item)) {
        note_others_woken(st, item);
    }
    // The latest first, which is the order in which the kernel wakes the waiters of one event.
    for slot in (1..=st.backend.set.len()).rev() {
        let Some((item, asked, found)) = st.backend.set.entry(slot) else { continue };
        if found & NVAL == 0 && item.at(&st.held).alive.get() {
            note_news(st, item, asked, found);
        }
    }
    announce_news(ep, st);
}

/// Handles a find of a poll on a registration: the same wake-up may have woken other registrations
/// before it, and a poll does not show that.
pub(super) fn note_others_woken(st: &mut EpState, item: &'static Epitem) {
    if wakes_beside(item) {
        st.outer.needs_resample |= resample::sample(st, Extent::WakesAnyMask).is_some();
    }
}

fn wakes_beside(item: &Epitem) -> bool {
    item.file().is_some_and(|file| file.kind().wakes_any_mask())
}

/// Records the result of a poll of a registration.
pub(super) fn note_news(st: &mut EpState, item: &'static Epitem, asked: Bits, found: Bits) {
    if let Some(file) = item.file().filter(|file| !file.is_instance()) {
        let woken = take_in(st, item, file, found, asked);
        st.note_woken(item, woken);
        let state = item.at(&st.held);
        if found & !state.watched(file) != 0 {
            // The poll set leaves the level out until it has been low or is set anew.
            st.refresh(item);
        }
        st.note_resample(item);
    }
}

/// Wakes the outer instances if a registration was woken since they were last woken.
pub(super) fn announce_news(ep: &'static Eventpoll, st: &mut EpState) {
    if std::mem::take(&mut st.outer.has_news) {
        wake_outer(ep, st);
    }
}

/// Records the level that a look found on a registration, of the bits `asked`. True if the outer
/// instances have to be woken.
pub(super) fn take_in(st: &EpState, item: &'static Epitem, file: &'static File, level: Bits, asked: Bits) -> bool {
    let state = item.at(&st.held);
    let watched = state.outer_watched(file);
    // Space that was freed is reported now, and not again when a report finds it.
    let (high, low) = (asked & level, asked & watched & !level);
    observe::observe(file, item.via(), Polled { by: LookedBy::Outer, high, low, tracked: state.tracked.get() });
    if let Some(tcp) = file.tcp().filter(|_| level & ERR != 0) {
        tcp.follow_errors(true);
    }
    let mut announced = state.announced();
    let before = announced;
    let clock = file.clock();
    let count = || sample::settled_arrivals(file, item.via(), watched);
    // A level that a look takes away was announced when it was found.
    let lasting = !file.kind().fleeting();
    let news =
        announced.announce(file.kind(), level & watched & lasting, (asked | ERR | HUP) & lasting, sample::VIEW, count);
    if announced != before {
        state.set_announced(announced);
        // A call that began before the look may have more to report than the look shows.
        if news {
            state.set_announced_at(clock);
        }
    }
    news
}

/// Whether a registration was woken and the wake-up was not announced yet. It counts as announced
/// from here on.
pub(super) fn is_news(st: &mut EpState, item: &'static Epitem, file: &'static File) -> bool {
    if let Some(inner) = file.eventpoll() {
        // The inner instance may have to announce something first.
        look::seems_ready(inner);
    }
    observe::peer_read(file, item.via());
    let state = item.at(&st.held);
    let mut announced = state.announced();
    let watched = state.outer_watched(file);
    announced.digest(file.kind(), watched, item.take_facts(), item.told_after(state.announced_at()));
    if let Some(count) = sample::arrivals(file, item.via(), watched) {
        announced.counted(count, sample::VIEW);
    }
    state.set_announced(announced);
    show(st, item, file, watched, false).0
}

/// Prepares the list for a registration that begins, or begins anew: registrations that were woken
/// before it precede it.
pub(super) fn catch_up(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.is_followed() && st.queue.poller.is_none() {
        ep.absorb(st);
        // A registration that is not on the list shows nothing, unless a hook saw its input taken.
        st.outer.needs_resample |= resample::sample(st, Extent::WakesAnyMask).is_some();
    }
}

/// Handles a registration of a followed instance that begins, or begins anew: its present level is
/// not news. True if the outer instances must be woken because it is ready and was not on the list
/// (T6).
pub(super) fn begin(st: &mut EpState, item: &'static Epitem, file: &'static File) -> bool {
    let state = item.at(&st.held);
    if state.outer_watched(file) & WRITABLE != 0 {
        observe::begin_to_count_outgoing(file, item.via());
    }
    let mut announced = Edge::anew(file.is_closing()).for_outer();
    if file.kind() == Kind::Signalfd {
        // Every signal wakes every signalfd, even one that does not take it.
        announced.follow();
    }
    if announced.is_closing()
        && let Some(count) = sample::arrivals(file, item.via(), state.outer_watched(file))
    {
        announced.counted(count, sample::VIEW);
    }
    state.set_announced(announced);
    state.set_announced_at(file.clock());
    let asked_for = levels(state.events.get());
    let (_, level) = show(st, item, file, state.outer_watched(file), true);
    let is_new = level & asked_for != 0 && !WokenList::has(item, &st.held);
    if is_new {
        st.list_as_woken(item);
    }
    is_new
}

/// Returns whether the outer instances have to be woken for a registration, and its level among the
/// watched bits.
fn show(st: &EpState, item: &'static Epitem, file: &'static File, watched: Bits, in_turn: bool) -> (bool, Bits) {
    if let Some(inner) = file.eventpoll() {
        let ready = if in_turn { look::is_ready(inner) } else { look::seems_ready(inner) };
        let level = if ready { READABLE_INSTANCE } else { 0 };
        let state = item.at(&st.held);
        let mut announced = state.announced();
        let woken = announced.take_woken();
        state.set_announced(announced);
        return (woken, level & watched);
    }
    let level = file.level(item.via(), watched) & !NVAL;
    (take_in(st, item, file, level, watched), level)
}

/// Makes one more edge of the epoll descriptor. Its time precedes the level: an outer instance that
/// is woken by the level, and reports it, must not take this edge for a second one.
pub(super) fn wake_outer(ep: &'static Eventpoll, st: &mut EpState) {
    let at = ep.file().map_or(0, File::begin_call);
    attend::show_readable(ep, st);
    if let Some(file) = ep.file() {
        file.tell(Facts::WROTE, at);
    }
}

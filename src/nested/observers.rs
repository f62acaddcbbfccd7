//! The observers of an instance's descriptor: when an instance becomes observed, and when followed.

use nix::errno::Errno;

use super::announce;
use super::attend;
use super::link::Link;
use crate::INTERPOSES;
use crate::backend::watch;
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::outer::Observers;
use crate::graph::woken_list::WokenList;
use crate::instance::nesting_limits;
use crate::instance::ring_use;
use crate::probe::sample;

/// Makes the instance observed: from now on the level of its descriptor is looked at.
pub(super) fn observe(ep: &'static Eventpoll) {
    let mut st = ep.lock();
    expose(ep, &mut st, Observers::ForLevels);
}

/// Handles an instance without a ring. If the library does not see the program's calls, any thread
/// may look at the descriptor, so the level of an instance that is polled is kept up to date from
/// the beginning. A ring belongs to the waiting thread, so an instance with a ring does without
/// this.
pub(super) fn observe_unseen(ep: &'static Eventpoll, st: &mut EpState) {
    if !INTERPOSES {
        expose(ep, st, Observers::Presumed);
    }
}

/// Handles an instance with edge-triggered registrations. If the library does not see the program's
/// calls, only a ring reports those correctly, and only its waiting thread is presumed to look at
/// the descriptor.
pub(super) fn leave_to_ring(ep: &'static Eventpoll, st: &mut EpState) {
    if !INTERPOSES
        && st.outer.observers == Observers::Presumed
        && st.items.edges > 0
        && st.queue.poller.is_none()
        && st.backend.ring_cost.may_come()
    {
        attend::clear_pipe(ep, st);
        st.outer.observers = Observers::Nobody;
        ep.expose(false);
    }
}

/// Makes the instance observed, by this kind of observers.
pub(super) fn expose(ep: &'static Eventpoll, st: &mut EpState, observers: Observers) {
    let was_observed = st.outer.is_observed();
    st.outer.observers = st.outer.observers.max(observers);
    if !was_observed {
        st.outer.link = Some(&Link);
        if st.queue.poller.is_some() {
            st.wake_from_ring();
        } else {
            ring_use::leave(ep, st);
        }
        ring_use::leave_signals(ep, st);
        ep.expose(true);
        attend::attend(ep, st);
    }
}

/// Makes the instance followed, because an edge-triggered registration watches it, and therefore
/// also the instances in it. The caller keeps the links between instances as they are.
pub(super) fn follow(ep: &'static Eventpoll) -> Result<(), Errno> {
    let inner = {
        let mut st = ep.lock();
        let inner =
            nesting_limits::gather(st.items.inner.iter().filter_map(|item| item.file().and_then(File::eventpoll)))?;
        let registrations = st.items.interest.len();
        st.ready.woken.reserve(registrations)?;
        st.ensure_exts(true)?;
        begin_to_follow(ep, &mut st);
        inner
    };
    inner.into_iter().try_for_each(follow)
}

fn begin_to_follow(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.is_followed() {
        return;
    }
    expose(ep, st, Observers::ForLevels);
    st.outer.observers = Observers::ForEdges;
    // The hooks report on every registration from here on. The present state is not news.
    if st.queue.poller.is_none() {
        ep.absorb(st);
    }
    st.recheck.overdue = true;
    st.outer.has_news = false;
    for index in 0..st.ready.list.len() {
        st.list_as_woken(st.ready.list[index]);
    }
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        if let Some(file) = item.file() {
            // A watcher polls for the levels of the registration itself only.
            watch::take_back(st, item);
            st.track(item, file);
            let was_reported = is_reported(item, item.at(&st.held), file);
            if announce::begin(st, item, file) && was_reported {
                WokenList::leave(item, &st.held);
            }
        }
    }
    attend::attend(ep, st);
}

/// Whether a registration was reported and does not stay ready.
fn is_reported(item: &Epitem, state: &State, file: &'static File) -> bool {
    let mut edge = state.edge.get();
    if state.spent.get() || !state.is_edge() || state.ready.get() || edge.reported() == 0 {
        return state.spent.get();
    }
    let outer_watched = state.outer_watched(file);
    if let Some(count) = sample::arrivals(file, item.via(), outer_watched) {
        edge.counted(count, sample::VIEW);
    }
    edge.fresh(file.level(item.via(), outer_watched)) == 0
}

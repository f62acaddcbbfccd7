//! Who looks at an instance's descriptor: when an instance becomes observed, and when followed.

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
use crate::graph::outer::Audience;
use crate::graph::woken_list::Line;
use crate::instance::nesting_limits;
use crate::instance::ring_use;
use crate::probe::sample;

/// Somebody looks at the level of the instance's descriptor from now on.
pub(super) fn observe(ep: &'static Eventpoll) {
    let mut st = ep.lock();
    expose(ep, &mut st, Audience::ForLevels);
}

/// The instance has no ring. Where the program's calls are not seen, anybody may look at its
/// descriptor, and of an instance that is polled the level is kept true from the beginning. A ring
/// is the waiting thread's own, so an instance with a ring does without.
pub(super) fn observe_unseen(ep: &'static Eventpoll, st: &mut EpState) {
    if !INTERPOSES {
        expose(ep, st, Audience::Presumed);
    }
}

/// The instance has edge-triggered registrations. Where calls are not seen, only a ring reports
/// those right, and nobody but its waiting thread is presumed to look.
pub(super) fn leave_to_ring(ep: &'static Eventpoll, st: &mut EpState) {
    if !INTERPOSES
        && st.outer.audience == Audience::Presumed
        && st.items.edges > 0
        && st.queue.poller.is_none()
        && st.backend.prospect.may_come()
    {
        attend::clear_pipe(ep, st);
        st.outer.audience = Audience::Nobody;
        ep.expose(false);
    }
}

/// Somebody looks at the descriptor from now on.
pub(super) fn expose(ep: &'static Eventpoll, st: &mut EpState, audience: Audience) {
    let was_observed = st.outer.is_observed();
    st.outer.audience = st.outer.audience.max(audience);
    if !was_observed {
        st.outer.link = Some(&Link);
        if st.queue.poller.is_some() {
            st.kick_from_ring();
        } else {
            ring_use::leave(ep, st);
        }
        ep.expose(true);
        attend::attend(ep, st);
    }
}

/// Somebody waits for the edges of the instance from now on, and therefore for those of the
/// instances in it. The caller keeps the links between instances as they are.
pub(super) fn follow(ep: &'static Eventpoll) -> Result<(), Errno> {
    let inner = {
        let mut st = ep.lock();
        let inner =
            nesting_limits::gather(st.items.inner.iter().filter_map(|item| item.file().and_then(File::eventpoll)))?;
        let registrations = st.items.interest.len();
        st.ready.line.reserve(registrations)?;
        st.furnish(true)?;
        begin_to_follow(ep, &mut st);
        inner
    };
    inner.into_iter().try_for_each(follow)
}

fn begin_to_follow(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.is_followed() {
        return;
    }
    expose(ep, st, Audience::ForLevels);
    st.outer.audience = Audience::ForEdges;
    // The hooks report on every registration from here on. What is there now is known.
    if st.queue.poller.is_none() {
        ep.absorb(st);
    }
    st.recheck.overdue = true;
    st.outer.has_news = false;
    for index in 0..st.ready.list.len() {
        st.stand_in_line(st.ready.list[index]);
    }
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        if let Some(file) = item.file() {
            // A watcher polls for the registration's own levels only.
            watch::take_back(st, item);
            st.track(item, file);
            let was_reported = is_reported(item, item.at(&st.held), file);
            if announce::begin(st, item, file) && was_reported {
                Line::leave(item, &st.held);
            }
        }
    }
    attend::attend(ep, st);
}

/// Whether a registration was reported and does not stay ready.
fn is_reported(item: &Epitem, state: &State, file: &'static File) -> bool {
    let mut edge = state.edge.get();
    if state.spent.get() || !state.is_edge() || state.ready.get() || edge.quiet() == 0 {
        return state.spent.get();
    }
    let heard = state.heard(file);
    if let Some(count) = sample::arrivals(file, item.via(), heard) {
        edge.counted(count, sample::VIEW);
    }
    edge.fresh(file.level(item.via(), heard)) == 0
}

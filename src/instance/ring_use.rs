//! When an instance switches to a ring, and back to poll.

use crate::backend::{switch, uring};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::Sleeper;
use crate::instance::resample::{self, Extent};

/// Whether the instance uses a ring in this round of the wait of `me`. Creates the ring if it pays,
/// and leaves it if it cannot be used any more. No thread may sleep on the instance.
pub fn is_by_ring(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> bool {
    let serves = switch::serves(st, me);
    if serves == Some(true) {
        return true;
    }
    if serves.is_some() {
        leave(ep, st);
    } else if switch::pays(st, me) && enter(ep, st, me) {
        return true;
    }
    if let Some(outer) = st.outer.link {
        outer.without_ring(ep, st);
    }
    false
}

/// Switches to a ring. False if none can be created, or it cannot serve every registration.
fn enter(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> bool {
    let Ok(ring) = switch::prepare(ep, st, me) else { return false };
    // The poll of this round would have found these edges.
    let _ = resample::sample(st, Extent::All);
    ep.absorb(st);
    let serves = switch::enter(ep, st, ring);
    if !serves {
        ep.absorb(st);
    }
    serves
}

/// Switches back to poll, if there is a ring. No thread may sleep on the instance.
pub fn leave(ep: &'static Eventpoll, st: &mut EpState) {
    if switch::leave(ep, st) {
        ep.absorb(st);
    }
}

/// Goes back from signals to poll, because the instance is observed or contains instances.
pub fn leave_signals(ep: &'static Eventpoll, st: &mut EpState) {
    if st.backend.signalled == 0 {
        return;
    }
    st.recheck.overdue = true;
    match st.queue.poller {
        Some(poller) => poller.wake_up(),
        None => ep.absorb(st),
    }
}

/// Considers a ring after a registration was added. If there are many, a thread that will be the
/// only one to wait gets its ring at once, and submits the requests as they come, so that the first
/// wait does not have to submit all of them.
pub fn added(ep: &'static Eventpoll, st: &mut EpState) {
    if st.queue.poller.is_some() || st.items.interest.len() < uring::BATCH {
        return;
    }
    if let Some(me) = switch::pays_early(st) {
        enter(ep, st, me);
    }
    uring::hand_over_batch(ep, st);
}

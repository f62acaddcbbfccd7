//! Parking: registrations that have been silent for long are handed to watcher threads, or all of
//! them are taken back, depending on which has been cheaper of late (see `account`).

use arrayvec::ArrayVec;

use super::watch;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::kind::Kind;
use crate::poll_batch::WINDOW;

/// Sets up to this size are polled as they are, without a second thread in the program.
pub const PARK_ABOVE: usize = 64;
/// Parking wakes a watcher, so it is done for many at a time.
const PARK_BATCH: usize = 32;

/// Hands registrations that have been silent for long to the watchers, if that has been cheaper of
/// late. True if polling has been cheaper, and the caller must take all of them back.
pub fn balance(st: &mut EpState) -> bool {
    let registrations = registrations(st);
    if st.backend.ring.is_some() {
        return false;
    }
    st.let_silent_wait_for_signals();
    if st.backend.set.len() > PARK_ABOVE && st.backend.account.favours_parking(registrations) {
        park_silent(st);
        return false;
    }
    st.backend.parked > 0 && !st.outer.is_observed() && st.backend.account.favours_polling(registrations)
}

/// The registrations that are polled by the waiting thread or by watchers.
pub fn registrations(st: &EpState) -> usize {
    st.items.interest.len().saturating_sub(st.backend.signalled)
}

fn park_silent(st: &mut EpState) {
    let waiting = st.backend.set.silent(usize::MAX, false).filter(|(_, item)| may_park(st, item)).count();
    if waiting < PARK_BATCH {
        st.backend.account.spend(registrations(st));
        return;
    }
    watch::prepare(waiting);
    let mut end = usize::MAX;
    loop {
        let silent = st.backend.set.silent(end, false).filter(|(_, item)| may_park(st, item));
        let batch: ArrayVec<_, WINDOW> = silent.take(WINDOW).collect();
        end = batch.last().map_or(end, |&(at, _)| at);
        if watch::park(st, batch.iter().map(|&(_, item)| item)) < batch.len() || !batch.is_full() {
            break;
        }
    }
    st.backend.set.discard_unused();
}

/// Whether a registration may be parked. Exclusive registrations, nested instances and
/// registrations on the resample list stay with the waiting thread. So do signalfds, because
/// another thread does not see the signals that were sent to one thread, and files that show a
/// change only once, because the thread that reports the change should see it.
fn may_park(st: &EpState, item: &Epitem) -> bool {
    let state = item.at(&st.held);
    let kind = item.file().map_or(Kind::Other, |file| file.identify(item.via()));
    !state.is_exclusive()
        && !state.to_resample.get()
        && !matches!(kind, Kind::Epoll | Kind::Signalfd)
        && kind.fleeting() == 0
}

//! Who is parked: registrations that were silent for long are handed to watcher threads, or all of them taken back, whatever has been cheaper
//! of late (see `account`).

use super::watch;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::kind::Kind;
use crate::window::WINDOW;

/// Sets up to this size are polled as they are, without a second thread in the program.
pub const PARK_ABOVE: usize = 64;
/// Parking wakes a watcher, so it is done for many at a time.
const PARK_BATCH: usize = 32;

/// Hands registrations that were silent for long to the watchers, if that has been cheaper of late. True if it has been cheaper to
/// poll, and all of them are to be taken back.
pub fn balance(st: &mut EpState) -> bool {
    let registrations = st.items.interest.len();
    if st.backend.ring.is_some() {
        return false;
    }
    if st.backend.set.len() > PARK_ABOVE && st.backend.account.favours_parking(registrations) {
        park_silent(st);
        return false;
    }
    st.backend.parked > 0 && !st.outer.is_observed() && st.backend.account.favours_polling(registrations)
}

fn park_silent(st: &mut EpState) {
    let waiting = st.backend.set.silent(usize::MAX, false).filter(|(_, item)| may_park(st, item)).count();
    if waiting < PARK_BATCH {
        st.backend.account.spend(st.items.interest.len());
        return;
    }
    watch::prepare(waiting);
    let mut end = usize::MAX;
    loop {
        let mut batch: [Option<&'static Epitem>; WINDOW] = [None; WINDOW];
        let silent = st.backend.set.silent(end, false).filter(|(_, item)| may_park(st, item));
        let mut found = 0;
        for (place, (at, item)) in batch.iter_mut().zip(silent) {
            *place = Some(item);
            end = at;
            found += 1;
        }
        if watch::park(st, batch.iter().flatten().copied()) < found || found < WINDOW {
            break;
        }
    }
    st.backend.set.discard_unused();
}

/// Exclusive registrations, nested instances and uneasy ones are looked after where they are waited for, and so are signalfds: what is
/// sent to one thread no other thread sees in them. What shows once is best seen by who reports it.
fn may_park(st: &EpState, item: &Epitem) -> bool {
    let state = item.at(&st.held);
    let kind = item.file().map_or(Kind::Other, |file| file.identify(item.via()));
    !state.is_exclusive()
        && !state.uneasy.get()
        && !matches!(kind, Kind::Epoll | Kind::Signalfd)
        && kind.fleeting() == 0
}

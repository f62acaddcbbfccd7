//! Operations on the registrations of an instance that are with watchers: looks that do not wait
//! for a watcher, and taking registrations back.

use crate::backend::watch;
use crate::graph::epstate::EpState;
use crate::poll_batch::{PollBatch, WINDOW};
use crate::probe::fleeting;

/// Looks at the parked registrations of an instance, and takes back those that are ready, for a
/// caller that must not wait for the watcher: a wait with timeout 0, a poll on the descriptor. True
/// if there were any.
pub fn look_at_parked(st: &mut EpState) -> bool {
    let mut any = false;
    let mut next = 0;
    st.backend.account.looked(st.backend.parked);
    while st.backend.parked > 0 && next < st.items.interest.len() {
        any |= look_at_window(st, &mut next, usize::MAX);
    }
    any
}

/// As [`look_at_parked`], for the next few of them, once per tick of the coarse clock. A wait that
/// always finds something would never look at all of them, and their watcher may not get a
/// processor while the program uses it.
pub fn look_at_next_parked(st: &mut EpState) {
    const MOST_PASSED: usize = 512;
    if st.backend.parked == 0 || st.backend.looked_ms == st.now_ms {
        return;
    }
    st.backend.looked_ms = st.now_ms;
    let mut next = st.backend.next_parked;
    if next >= st.items.interest.len() {
        next = 0;
    }
    look_at_window(st, &mut next, MOST_PASSED);
    st.backend.next_parked = next;
}

/// Looks at the parked registrations among the next `most` of the interest list, at most a window
/// of them.
fn look_at_window(st: &mut EpState, next: &mut usize, most: usize) -> bool {
    let mut window = PollBatch::<_, WINDOW>::new();
    let end = st.items.interest.len().min(next.saturating_add(most));
    while !window.is_full() && *next < end {
        let item = st.items.interest[*next].get();
        *next += 1;
        if item.at(&st.held).is_parked() {
            window.add(item, item.via(), watch::asked(st, item));
        }
    }
    let mut any = false;
    for (item, found) in window.look().filter(|(_, found)| *found != 0) {
        fleeting::found_on(item, found);
        watch::take_back(st, item);
        st.refresh(item);
        any = true;
    }
    any
}

/// Takes every registration of an instance back from its watchers.
pub fn take_all_back(st: &mut EpState) {
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        if item.at(&st.held).is_parked() {
            watch::take_back(st, item);
            st.refresh(item);
        }
    }
    watch::wake_poller();
}

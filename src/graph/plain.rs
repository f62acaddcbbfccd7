//! What a wait leaves behind for the next one, if that needs nothing but one poll over a few
//! level-triggered registrations (`instance/wait/plain.rs`).

use libc::{epoll_event, pollfd};

use crate::events::{Bits, NVAL, ONESHOT, levels};
use crate::graph::epstate::EpState;
use crate::graph::file::File;
use crate::options::{self, Poller};

/// The largest number of registrations. A larger set has an account of the silent ones, which may
/// go to signals, to a ring or to watchers.
const FEW: usize = 8;

/// The registration that the last wait has reported, alone on the ready list of its instance. Valid
/// as long as only plain waits lock the instance and its file has no edge-triggered registration in
/// another one.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// Its place in the poll set.
    slot: u32,
    /// The bits that it reports.
    wanted: Bits,
    data: u64,
    /// The time from which on its number must be compared with its file again, in milliseconds of
    /// the coarse clock.
    until_ms: u64,
    /// `File::edges_begun` when its file had no edge-triggered registration.
    edges_begun: u32,
}

impl Plain {
    /// The registration; `None` if the next wait has more to do.
    pub fn left_by(st: &EpState) -> Option<Plain> {
        if st.items.interest.len() > FEW || !is_plain(st) {
            return None;
        }
        let item = st.ready.list.only_reported()?;
        let state = item.at(&st.held);
        let wanted = levels(state.events.get());
        let is_plain = state.events.get() & ONESHOT == 0 && st.backend.set.asked(item, &st.held) == wanted;
        let edges_begun = File::edges_begun();
        // A report tells the waiters for edges of the file what it has seen.
        let file = item.file().filter(|file| is_plain && !File::has_edges(file))?;
        let until_ms = file.checked_until(st.now_ms)?;
        Some(Plain { slot: state.slot.get(), wanted, data: state.data.get(), until_ms, edges_begun })
    }

    /// The event to report after a poll that has found one descriptor; `None` if it is another one,
    /// or its number is not open.
    #[inline]
    pub fn event(&self, polled: &[pollfd]) -> Option<epoll_event> {
        let found = polled.get(self.slot as usize)?.revents.cast_unsigned();
        let bits = found & self.wanted;
        (bits != 0 && found & NVAL == 0).then_some(epoll_event { events: u32::from(bits), u64: self.data })
    }

    /// Whether it must be decided anew before a report whether the registration is a plain one: its
    /// number must be compared with its file, or its file may have edge-triggered registrations.
    #[inline]
    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms || self.edges_begun != File::edges_begun()
    }
}

/// Whether all registrations are level-triggered and in the poll set, and nothing is counted,
/// sampled, observed or left for another look.
fn is_plain(st: &EpState) -> bool {
    let (items, backend, recheck) = (&st.items, &st.backend, &st.recheck);
    let are_levels = items.edges == 0 && items.fleeting == 0 && items.inner.is_empty() && items.exclusives.is_empty();
    let are_polled = backend.set.len() == items.interest.len() && backend.ring.is_none() && !backend.reads_signals;
    let is_due = recheck.left || recheck.overdue || st.ready.pressing || st.closed;
    are_levels
        && are_polled
        && backend.parked == 0
        && items.lent.is_empty()
        && recheck.to_resample.is_empty()
        && !is_due
        && st.outer.link.is_none()
        && !st.outer.is_observed()
        && options::poller() != Poller::Uring
}

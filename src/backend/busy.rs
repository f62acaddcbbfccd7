//! Registrations that are polled although the instance has a ring, because they are reported again
//! and again.
//!
//! A request adds its share to every wake-up, in the call that wakes, and takes a call to the ring
//! to collect the completion; then `poll` looks at the level anyway. If a registration is ready in
//! every other wait, that look alone is cheaper, and the kernel's epoll is not faster. So busy
//! level-triggered registrations have no request and are in the poll set. When they have been
//! silent for a while, or the thread is about to sleep, they get a request again. Edge-triggered
//! registrations always have a request, because the ring reports edges exactly.

use crate::events::ONESHOT;
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::ring_state::Request;

/// The number of reports in quick succession that makes a registration busy.
const REPORTS: u8 = 8;
/// The most waits between two reports in quick succession. For each event, a request costs about as
/// much as eight looks.
const SPAN: u8 = 3;
/// The number of silent polls after which a registration is no longer busy.
const PATIENCE: u16 = 8;
/// The most registrations that are polled. Beyond that, a poll costs more than the requests of the
/// registrations that it finds silent.
const MOST: usize = 256;

impl EpState {
    /// Records a report of a registration of an instance with a ring. A busy registration is polled
    /// from here on.
    #[inline]
    pub(super) fn note_busy(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        if state.slot.get() == 0
            && may_be_polled(state)
            && state.request().is_some_and(|request| is_busy(request, self.pace()))
        {
            self.poll_beside(item);
        }
    }

    /// The time by which reports are measured: the number of waits. A wait that slept counts for
    /// more, and ends a succession.
    fn pace(&self) -> u8 {
        (self.stats.waits + u64::from(SPAN) * self.stats.sleeps) as u8
    }

    #[cold]
    fn poll_beside(&mut self, item: &'static Epitem) {
        let Some(file) = item.file().filter(|_| self.backend.set.len() < MOST) else { return };
        if let Some(bits) = self.bits_to_ask(item, file)
            && self.backend.set.put(item, &self.held, item.via(), bits)
        {
            self.list_due(item);
        }
    }

    /// Handles a change of a registration that is polled beside the ring: of its mask, or of
    /// whether it may be polled.
    pub(super) fn refresh_busy(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        if state.slot.get() == 0 || state.is_exclusive() {
            return;
        }
        debug_assert!(self.queue.poller.is_none());
        match item.file().filter(|_| may_be_polled(state)).and_then(|file| self.bits_to_ask(item, file)) {
            Some(bits) => _ = self.backend.set.put(item, &self.held, item.via(), bits),
            None => self.calm(item),
        }
    }

    /// After a poll, hands the registrations that were silent in the last ones back to the ring.
    pub(super) fn return_silent_to_ring(&mut self) {
        let mut end = usize::MAX;
        while let Some((place, item)) = self.backend.set.silent_for(PATIENCE, end, &self.held) {
            end = place;
            if !item.at(&self.held).is_exclusive() {
                self.calm(item);
            }
        }
    }

    /// Before a sleep, hands all registrations but the exclusive ones back to the ring.
    pub fn return_all_to_ring(&mut self) {
        let mut end = usize::MAX;
        while let Some((place, item)) = self.backend.set.silent_for(0, end, &self.held) {
            end = place;
            if !item.at(&self.held).is_exclusive() {
                self.calm(item);
            }
        }
    }

    fn calm(&mut self, item: &'static Epitem) {
        self.backend.set.remove(item, &self.held);
        if let Some(request) = item.at(&self.held).request() {
            request.reports.set(0);
        }
        self.list_due(item);
    }
}

/// Counts another report. True if there were enough of them in quick succession.
fn is_busy(request: &Request, now: u8) -> bool {
    let in_a_row = now.wrapping_sub(request.reported_at.replace(now)) <= SPAN;
    let reports = if in_a_row { request.reports.get().saturating_add(1) } else { 1 };
    request.reports.set(reports);
    reports >= REPORTS
}

/// Whether a registration may be polled beside the ring. Edges are left to the ring, and one-shots
/// are re-armed each time.
fn may_be_polled(state: &State) -> bool {
    let one_at_a_time = state.is_edge() || state.is_exclusive() || state.events.get() & ONESHOT != 0;
    state.alive.get() && !state.spent.get() && !one_at_a_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_in_a_row_make_busy_and_rare_ones_do_not() {
        let request = Request::none();
        assert!(!(1..REPORTS).any(|turn| is_busy(&request, turn * SPAN)));
        assert!(is_busy(&request, REPORTS * SPAN));
        let rare = Request::none();
        assert!(!(0..40u8).any(|turn| is_busy(&rare, turn * (SPAN + 1))));
    }
}

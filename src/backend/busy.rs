//! Which registrations of an instance with a ring are polled all the same: those that are reported again and again.
//!
//! A request costs its share of every wake-up, in the call that wakes, and a call to the ring to collect it; and then the level is looked at
//! by `poll`. Where a registration is ready in every other wait that look alone is cheaper, and the kernel's epoll not faster. So
//! level-triggered ones that are busy have no request, and are in the poll set; when they were silent for a while, or the thread is about to
//! sleep, they get one again. Edges are left to the ring, which tells them exactly.

use crate::events::ONESHOT;
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::ring_state::Request;

/// So many reports, none of them long after the one before, make a registration busy.
const REPORTS: u8 = 8;
/// Long after is more than so many waits: what a request costs an event is what some eight looks cost.
const SPAN: u8 = 3;
/// After so many silent polls it is busy no more.
const PATIENCE: u16 = 8;
/// The most that are polled: beyond that a poll costs more than the requests of those that would be silent in it.
const MOST: usize = 256;

impl EpState {
    /// A registration was reported, and the ring is there: if it is busy it is polled from here on.
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

    /// The time that reports are measured by: waits, of which each that slept breaks a row.
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

    /// One that is polled beside the ring changed: its mask, or whether it may be.
    pub(super) fn refresh_busy(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        if state.slot.get() == 0 {
            return;
        }
        debug_assert!(self.queue.poller.is_none());
        match item.file().filter(|_| may_be_polled(state)).and_then(|file| self.bits_to_ask(item, file)) {
            Some(bits) => _ = self.backend.set.put(item, &self.held, item.via(), bits),
            None => self.calm(item),
        }
    }

    /// After a poll: those that were silent in the last ones are the ring's again.
    pub(super) fn calm_silent(&mut self) {
        let mut end = usize::MAX;
        while let Some((place, item)) = self.backend.set.silent_for(PATIENCE, end, &self.held) {
            end = place;
            self.calm(item);
        }
    }

    /// Before a sleep: all are the ring's.
    pub fn calm_all(&mut self) {
        while let Some((_, item)) = self.backend.set.silent_for(0, usize::MAX, &self.held) {
            self.calm(item);
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

/// Another report: whether there were enough of them in a row.
fn is_busy(request: &Request, now: u8) -> bool {
    let in_a_row = now.wrapping_sub(request.reported_at.replace(now)) <= SPAN;
    let reports = if in_a_row { request.reports.get().saturating_add(1) } else { 1 };
    request.reports.set(reports);
    reports >= REPORTS
}

/// Edges are the ring's to tell, and one-shots are asked for anew each time.
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

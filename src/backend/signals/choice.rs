//! Which registrations wait for signals. With `EPOLYFILL_POLLER=signal` all do that can. With `auto`
//! those do that poll serves worst, in instances that will hardly ever have a ring: edges, after a
//! few reports, because poll has to count them; and registrations that were silent for a while, which
//! poll would look at in vain. In both cases one that is reported again and again is polled for a
//! while, if that costs less.

use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::file::File;
use crate::graph::signal_numbers as numbers;
use crate::kind::Kind;
use crate::options::{self, Poller};
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;

/// The instances with registrations that wait for signals.
static INSTANCES: AtomicUsize = AtomicUsize::new(0);

/// Poll sets up to this size are left as they are, unless the instance has signals to read.
const FEW: usize = 8;
/// A wake-up by a signal costs about as much as this many looks at a descriptor.
const SILENCE: u16 = 32;

/// The most such instances if signals are a choice: each signal wakes the waiting threads of all.
const MOST_INSTANCES: usize = 2;

/// In a forked child no registration waits for signals.
pub(super) fn reset_after_fork() {
    INSTANCES.store(0, Relaxed);
}

impl EpState {
    /// Whether registrations of the instance may begin to wait for signals.
    pub(super) fn may_use_signals(&self) -> bool {
        match options::poller() {
            Poller::Signal => true,
            Poller::Auto => {
                self.backend.ring.is_none()
                    && self.backend.ring_cost.is_out_of_reach()
                    && (self.backend.signalled > 0 || INSTANCES.load(Relaxed) < MOST_INSTANCES)
            }
            _ => false,
        }
    }

    /// Whether a registration waits for signals although it was not silent for long.
    pub(super) fn begins_with_signals(state: &State) -> bool {
        options::poller() == Poller::Signal || state.is_edge()
    }

    /// Counts a registration that begins to wait for signals.
    pub(super) fn count_signalled(&mut self) {
        if self.backend.signalled == 0 {
            INSTANCES.fetch_add(1, Relaxed);
        }
        self.backend.signalled += 1;
        self.backend.reads_signals = true;
    }

    /// Counts a registration that waits for signals no more.
    pub(super) fn count_off(&mut self) {
        self.backend.signalled -= 1;
        if self.backend.signalled == 0 {
            // A forked child begins at zero.
            let _ = INSTANCES.fetch_update(Relaxed, Relaxed, |number| number.checked_sub(1));
        }
    }

    /// Counts a report of a registration that waits for signals. One that is reported again and
    /// again is polled for a while, unless its edges are dear to count.
    pub(in crate::backend) fn reported_as_signalled(&self, item: &'static Epitem) {
        let fd = item.via();
        numbers::note_reported(fd);
        let state = item.at(&self.held);
        let internet = |file: &File| matches!(file.kind(), Kind::Tcp | Kind::TcpListener | Kind::Udp);
        let is_dear = state.is_edge() && item.file().is_some_and(internet);
        if !is_dear && numbers::is_busy(fd, self.stats.waits) && !numbers::rests(fd) {
            super::begin_rest(fd);
        }
    }

    /// Lets signals report the wake-ups of registrations that have been silent for a while, if poll
    /// would look at many.
    pub(in crate::backend) fn let_silent_wait_for_signals(&mut self) {
        // Where signals are read anyway, a wait with nothing to poll is a call less.
        let few = if self.backend.signalled > 0 { 0 } else { FEW };
        let is_due = self.backend.set.len() > few && self.stats.waits >= self.backend.silence_due;
        if !is_due || !super::are_used() || !self.may_use_signals() {
            return;
        }
        let (mut end, mut has_moved) = (usize::MAX, false);
        while let Some((at, item)) = self.backend.set.silent_for(SILENCE, end, &self.held) {
            end = at;
            has_moved |= self.let_wait_for_signals(item);
        }
        if !has_moved && end != usize::MAX {
            // Those that are silent cannot wait for signals.
            self.backend.silence_due = self.stats.waits + u64::from(SILENCE);
        }
    }

    fn let_wait_for_signals(&mut self, item: &'static Epitem) -> bool {
        let Some(file) = item.file() else { return false };
        // Compared here, the number need not be compared at the first report.
        if !file.is_likely_named_by(item.via(), false) {
            // The first report has to find that out, too.
            file.check_anew();
            return false;
        }
        if numbers::rests(item.via()) {
            numbers::end_rest(item.via());
        }
        if item.at(&self.held).edge.get().reported() == 0 {
            self.enter_signals(item, file)
        } else {
            self.return_to_signals(item, file)
        }
    }
}

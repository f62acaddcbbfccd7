//! Readiness by requests in a ring (`uring`), and by `poll` for busy registrations (`busy`), which
//! return to the ring before a sleep.

use nix::errno::Errno;

use super::{Poller, exclusive, uring};
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::Sleeper;
use crate::sleep::Sleep;
use crate::sys;

/// The backend for a single waiting thread, where the kernel has rings.
#[derive(Debug)]
pub struct ByRequest;

impl Poller for ByRequest {
    const TELLS_EDGES: bool = true;
    const TAKES_IN_BY_LOOK: bool = false;
    const SLEEPS_IN_POLL: bool = false;
    type SleepTarget = ();

    fn take_in(ep: &'static Eventpoll, st: &mut EpState) {
        if let Some(uring) = &mut st.backend.ring {
            uring.has_served = true;
        }
        st.poll_exclusives(ep.ring_fd.cell());
        uring::lap(ep, st);
    }

    fn must_report(st: &EpState) -> bool {
        !st.ready.list.is_empty()
    }

    fn polls(st: &EpState) -> bool {
        st.backend.set.len() > 0
    }

    fn may_sleep(ep: &'static Eventpoll, st: &mut EpState) -> bool {
        if Self::polls(st) {
            // The thread sleeps on the ring, which may have found something by then.
            st.request_exclusives(ep.ring_fd.cell());
            st.return_all_to_ring();
            uring::lap(ep, st);
        }
        if !st.ready.list.is_empty() {
            exclusive::withdraw(ep, st);
        }
        st.ready.list.is_empty()
    }

    fn look(_: &'static Eventpoll, st: &mut EpState, _: &'static Sleeper) -> usize {
        sys::look(st.backend.set.registrations())
    }

    fn sleep_target(_: &mut EpState, _: &'static Sleeper) {}

    fn sleep(nap: &Sleep, ep: &'static Eventpoll, (): (), limit: Option<u64>, _: u64) -> Result<usize, Errno> {
        nap.sleep_on_ring(ep.ring_fd.cell(), limit)
    }

    fn woken(ep: &'static Eventpoll, st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno> {
        uring::drain(st, true);
        exclusive::withdraw(ep, st);
        match slept {
            Ok(_) | Err(Errno::EINTR) => slept,
            Err(_) => {
                // The ring has failed, but the wait has not.
                if let Some(uring) = &mut st.backend.ring {
                    uring.doomed = true;
                }
                Ok(0)
            }
        }
    }
}

impl EpState {
    /// Updates the ring after a change of a registration. A completion reports every wake-up,
    /// except for a file that shows a change only once: there, a fact informs the one registration
    /// for which a look found the change.
    pub(super) fn changed_in_ring(&mut self, item: &'static Epitem) {
        if let Some(file) = item.file().filter(|_| item.at(&self.held).alive.get()) {
            self.track(item, file);
            if file.kind().fleeting() != 0
                && item.take_facts().contains(Facts::WAKE_ALL)
                && item.told_after(item.at(&self.held).reported_at.get())
            {
                self.note_change(item, file);
            }
        }
        self.refresh_exclusive(item);
        self.refresh_busy(item);
        self.refresh_in_ring(item);
    }
}

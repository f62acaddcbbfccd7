//! Readiness by requests in a ring (`uring`), and by `poll` of those registrations that are busy (`busy`), which are the ring's again before a sleep.

use nix::errno::Errno;

use super::{Poller, uring};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::Sleeper;
use crate::nap::Nap;
use crate::sys;

/// The poller for one thread, where the kernel has rings.
#[derive(Debug)]
pub struct ByRequest;

impl Poller for ByRequest {
    const TELLS_EDGES: bool = true;
    const SLEEPS_IN_POLL: bool = false;
    type Bed = ();

    fn take_in(ep: &'static Eventpoll, st: &mut EpState) {
        uring::lap(ep, st);
    }

    fn is_told(st: &EpState) -> bool {
        !st.ready.is_empty()
    }

    fn polls(st: &EpState) -> bool {
        st.set.len() > 0
    }

    fn may_sleep(ep: &'static Eventpoll, st: &mut EpState) -> bool {
        if Self::polls(st) {
            // The sleep is in the ring, which may have found something by then.
            st.calm_all();
            uring::lap(ep, st);
        }
        st.ready.is_empty()
    }

    fn look(st: &mut EpState, _: &'static Sleeper) -> usize {
        sys::look(st.set.registrations())
    }

    fn lie_down(_: &mut EpState, _: &'static Sleeper) {}

    fn sleep(nap: &Nap, ep: &'static Eventpoll, (): (), limit: Option<u64>, _: u64) -> Result<usize, Errno> {
        nap.sleep_on_ring(ep.ring_fd.cell(), limit)
    }

    fn woken(st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno> {
        uring::drain(st, true);
        match slept {
            Ok(_) | Err(Errno::EINTR) => slept,
            Err(_) => {
                // The ring is no more, which is no failure of the wait.
                if let Some(uring) = &mut st.ring {
                    uring.doomed = true;
                }
                Ok(0)
            }
        }
    }
}

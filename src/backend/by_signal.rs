//! Readiness by signals (`signals`), and by `poll` for the registrations that they cannot serve.

use nix::errno::Errno;

use super::by_poll::{ByPoll, SleepTarget};
use super::{Poller, signals};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::Sleeper;
use crate::sleep::Sleep;
use crate::sys;

/// The backend for descriptions that send signals.
#[derive(Debug)]
pub struct BySignal;

impl Poller for BySignal {
    const TELLS_EDGES: bool = false;
    const SLEEPS_IN_POLL: bool = true;
    type SleepTarget = SleepTarget;

    fn take_in(ep: &'static Eventpoll, st: &mut EpState) {
        st.backend.set.forget_wake();
        signals::take_in(Some((ep, st)));
    }

    fn must_report(st: &EpState) -> bool {
        // A poll finds the others.
        st.backend.signalled > 0 && st.ready.list.iter().any(|item| item.at(&st.held).is_signalled())
    }

    fn polls(st: &EpState) -> bool {
        st.backend.set.len() > 0
    }

    fn may_sleep(_: &'static Eventpoll, st: &mut EpState) -> bool {
        !Self::must_report(st)
    }

    fn look(st: &mut EpState, me: &'static Sleeper) -> usize {
        sys::look(st.backend.set.poll_with(me.wake_fd()))
    }

    fn sleep_target(st: &mut EpState, me: &'static Sleeper) -> SleepTarget {
        let epoch = me.enter_poll();
        let set = st.backend.set.poll_with_last(me.wake_fd(), signals::reader());
        SleepTarget { me, epoch, entries: set.as_mut_ptr(), n: set.len() }
    }

    fn sleep(
        nap: &Sleep,
        ep: &'static Eventpoll,
        target: SleepTarget,
        limit: Option<u64>,
        tick: u64,
    ) -> Result<usize, Errno> {
        ByPoll::sleep(nap, ep, target, limit, tick)
    }

    fn woken(ep: &'static Eventpoll, st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno> {
        st.backend.set.drop_last();
        if slept.is_ok_and(|number| number > 0) {
            signals::take_in(Some((ep, st)));
        }
        slept
    }
}

//! Readiness by `poll` over the registrations of an instance (`pollset.rs`), except those that have
//! been silent for long, which are with watcher threads (`watch`).

use libc::pollfd;
use nix::errno::Errno;

use super::{Poller, signals};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::Sleeper;
use crate::sleep::Sleep;
use crate::sys;

/// The backend that works everywhere.
#[derive(Debug)]
pub struct ByPoll;

/// The poll set, which does not move while the thread sleeps on it.
#[derive(Clone, Copy, Debug)]
pub struct SleepTarget {
    pub(super) me: &'static Sleeper,
    pub(super) epoch: u32,
    pub(super) entries: *mut pollfd,
    pub(super) n: usize,
}

impl Poller for ByPoll {
    const TELLS_EDGES: bool = false;
    const TAKES_IN_BY_LOOK: bool = false;
    const SLEEPS_IN_POLL: bool = true;
    type SleepTarget = SleepTarget;

    fn take_in(_: &'static Eventpoll, _: &mut EpState) {}

    fn must_report(_: &EpState) -> bool {
        false
    }

    fn polls(_: &EpState) -> bool {
        true
    }

    fn may_sleep(_: &'static Eventpoll, st: &mut EpState) -> bool {
        // The samples before the sleep may have let the first registrations wait for signals, which
        // this poll does not include.
        !signals::serve(st)
    }

    #[inline(always)]
    fn look(_: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> usize {
        sys::look(st.backend.set.poll_with(me.wake_fd()))
    }

    #[inline(always)]
    fn sleep_target(st: &mut EpState, me: &'static Sleeper) -> SleepTarget {
        let epoch = me.enter_poll();
        let set = st.backend.set.poll_with(me.wake_fd());
        SleepTarget { me, epoch, entries: set.as_mut_ptr(), n: set.len() }
    }

    #[inline(always)]
    fn sleep(
        nap: &Sleep,
        _: &'static Eventpoll,
        target: SleepTarget,
        limit: Option<u64>,
        tick: u64,
    ) -> Result<usize, Errno> {
        // SAFETY: the set does not move while `poller` is set, and no other thread touches it.
        let slept = unsafe { nap.sleep(target.entries, target.n, limit, tick) };
        target.me.leave_poll(target.epoch);
        slept
    }

    fn woken(_: &'static Eventpoll, _: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno> {
        slept
    }
}

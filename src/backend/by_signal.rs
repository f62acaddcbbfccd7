//! Readiness by signals (`signals`), and by `poll` for the registrations that they cannot serve.

use nix::errno::Errno;

use super::by_poll::{ByPoll, SleepTarget};
use super::{Poller, signals};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::looked::MOST;
use crate::graph::waitq::Sleeper;
use crate::sleep::Sleep;
use crate::sys;

/// The backend for descriptions that send signals.
#[derive(Debug)]
pub struct BySignal;

impl Poller for BySignal {
    const TELLS_EDGES: bool = false;
    const TAKES_IN_BY_LOOK: bool = true;
    const SLEEPS_IN_POLL: bool = true;
    type SleepTarget = SleepTarget;

    fn take_in(_: &'static Eventpoll, st: &mut EpState) {
        st.backend.looked.forget();
        st.backend.set.forget_wake();
        signals::ensure_reader();
    }

    fn must_report(st: &EpState) -> bool {
        // A poll finds the others.
        st.backend.signalled > 0 && st.ready.list.iter().any(|item| item.at(&st.held).is_signalled())
    }

    fn polls(_: &EpState) -> bool {
        true
    }

    fn may_sleep(_: &'static Eventpoll, st: &mut EpState) -> bool {
        !Self::must_report(st)
    }

    fn look(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> usize {
        if st.backend.set.len() == 0 {
            signals::take_in(Some((ep, st)));
            return 0;
        }
        if st.backend.had_signals {
            st.backend.had_signals = signals::take_in(Some((ep, st)));
            return poll_with_woken(st, me);
        }
        let found = sys::look(st.backend.set.poll_with_last(me.wake_fd(), signals::reader()));
        if st.backend.set.has_last_fired() {
            st.backend.had_signals = signals::take_in(Some((ep, st)));
        }
        st.backend.set.drop_last();
        found
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
        if slept.is_ok() && st.backend.set.has_last_fired() {
            st.backend.had_signals = signals::take_in(Some((ep, st)));
        }
        st.backend.set.drop_last();
        slept
    }
}

/// Polls the set, and with it the registrations on the ready list that wait for signals, if they are
/// few. Their report then needs no poll of its own.
fn poll_with_woken(st: &mut EpState, me: &'static Sleeper) -> usize {
    let EpState { ready, backend, held, .. } = st;
    backend.looked.forget();
    backend.set.poll_with(me.wake_fd());
    let few = if ready.list.len() > MOST { 0 } else { MOST };
    for item in ready.list.iter().take(few) {
        let state = item.at(held);
        let file = item.file().filter(|file| state.is_signalled() && state.alive.get() && file.is_polled());
        if let Some(file) = file
            && backend.set.put_behind(item.via(), state.watched(file))
        {
            backend.looked.add(item, state.watched(file));
        }
    }
    let found = sys::look(backend.set.with_those_behind());
    backend.looked.record(backend.set.revents_behind());
    backend.set.drop_last();
    found
}

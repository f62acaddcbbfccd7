//! A plain round: the first one of a wait of the only thread, on an instance that needs nothing but
//! one poll over a few level-triggered registrations, if the poll finds what the last wait has
//! reported (`graph/plain.rs`). It does what a round of `poll_round.rs` would do then, and touches a
//! third of the memory: a program that sleeps between two events finds the caches cold. Everything
//! else is left to those rounds. Kernel counterpart: the loop of `ep_poll`.

use super::poll_round::{Learnt, Plan};
use super::{Locked, Round, Stage, Wait, is_over, remaining};
use crate::backend::{ByPoll, Poller};
use crate::facts;
use crate::graph::epstate::EpState;
use crate::graph::plain::Plain;
use crate::graph::waitq;
use crate::sys;
use crate::uaccess;

impl Wait {
    /// Whether nobody but this thread, which has joined the instance, can change it during the wait,
    /// except signal handlers.
    #[inline]
    pub(super) fn may_be_plain(&self, st: &EpState) -> bool {
        let is_alone = st.queue.waiters.has_only(self.me) && st.queue.poller.is_none();
        is_alone && !facts::has_threads() && !waitq::ever_overtaken() && !self.ep.has_new_mail()
    }

    /// Looks or sleeps, and reports the registration that was reported last. `left` is still valid.
    #[inline(always)]
    pub(super) fn plain_round(&mut self, mut guard: Locked, left: Plain) -> Round {
        self.stage = Stage::Later;
        guard.plain = Some(left);
        let looks_first = guard.queue.habit.looks_first();
        let mut found = Ok(0);
        if looks_first || !self.may_sleep {
            found = Ok(ByPoll::look(self.ep, &mut guard, self.me));
        }
        if looks_first && self.may_sleep {
            guard.queue.habit.looked(found != Ok(0));
        }
        let sleeps = self.may_sleep && found == Ok(0);
        if sleeps {
            let Some((woken, slept)) = self.sleep_plainly(guard)? else {
                self.may_sleep = !is_over(self.deadline);
                return Ok(None);
            };
            (guard, found) = (woken, slept);
        }
        if found == Ok(1) && self.reports_again(&mut guard) {
            self.leave(&mut guard);
            return Ok(Some(1));
        }
        guard.plain = None;
        self.take_in::<ByPoll>(guard, Plan::after_plain(sleeps), found)
    }

    /// Sleeps as the poller, without the lock. `None` if the inbox got mail.
    #[inline(always)]
    fn sleep_plainly(&mut self, mut guard: Locked) -> Learnt {
        let (ep, me) = (self.ep, self.me);
        // The time of the instance is that of its last report.
        self.begin_to_count(sys::coarse_ms());
        let limit = remaining(self.deadline);
        self.sleeps_to_the_end = limit.is_some();
        guard.queue.poller = Some(me);
        ep.set_blocked(Some(me));
        if ep.has_new_mail() {
            guard.queue.poller = None;
            ep.set_blocked(None);
            return Ok(None);
        }
        let target = ByPoll::sleep_target(&mut guard, me);
        me.set_unguarded(true);
        drop(guard);
        let slept = ByPoll::sleep(&self.nap, ep, target, limit, self.tick);
        let mut guard = self.lock_plainly()?;
        me.set_unguarded(false);
        guard.queue.poller = None;
        ep.set_blocked(None);
        guard.stats.sleeps += 1;
        Ok(Some((guard, slept)))
    }

    /// Reports the registration that was reported last, which the poll has found alone. False if
    /// there is more to do; then nothing has changed.
    #[inline(always)]
    fn reports_again(&self, st: &mut EpState) -> bool {
        let now_ms = sys::coarse_ms();
        if st.plain.is_some_and(|left| left.is_due(now_ms)) {
            renew(st, now_ms);
        }
        let event = st.plain.and_then(|left| left.event(st.backend.set.polled()));
        // SAFETY: the caller of the wait vouches for an array of at least one event.
        let is_written = event.is_some_and(|event| unsafe { uaccess::write(self.buffer.events, event) }.is_ok());
        if is_written {
            st.now_ms = now_ms;
            let polled = st.backend.set.len();
            st.stats.polled(polled);
            st.stats.duplicates += 1;
            st.stats.events += 1;
        }
        is_written
    }
}

/// Compares the number of the registration that was reported last with its file, and decides anew
/// whether it is a plain one.
#[inline(never)]
fn renew(st: &mut EpState, now_ms: u64) {
    st.now_ms = now_ms;
    let item = st.ready.list.only_reported();
    if let Some((item, file)) = item.and_then(|item| item.file().map(|file| (item, file)))
        && !file.is_still_named_by(item.via(), now_ms, &mut st.comparisons)
    {
        // The full round compares them once more, and ends the registration.
        file.check_anew();
    }
    st.plain = Plain::left_by(st);
}
